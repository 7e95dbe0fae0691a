/** The board as a page of its own: the whole document is the board, so its keys work without a click into it. */
import { mount } from "./board.js";

mount(document.getElementById("hps-board"), { keys: document, title: true });

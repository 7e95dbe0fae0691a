/** A board in a column of another page may fill the window for a while. */
import { button, fill, h, icon } from "./dom.js";

/** @returns {{node: HTMLElement, leave: () => boolean}} `leave` is true where there was something to leave */
export function makeEnlarge({ root, resized }) {
  const node = button("", () => turn(!isLarge()), { class: "hps-tool" });
  const isLarge = () => root.classList.contains("hps-filling");

  function turn(isOn) {
    root.classList.toggle("hps-filling", isOn);
    label();
    resized();
    root.focus({ preventScroll: true });
    if (!isOn) root.scrollIntoView({ block: "nearest" });
  }

  function label() {
    const words = isLarge() ? "Back to the form" : "Enlarge";
    fill(node, icon(isLarge() ? "shrink" : "grow"), h("span", {}, words));
    node.setAttribute("aria-label", words);
    node.title = isLarge() ? "Back to the form (Esc)" : "Fill the window with the board";
  }

  function leave() {
    if (!isLarge()) return false;
    turn(false);
    return true;
  }

  label();
  return { node, leave };
}

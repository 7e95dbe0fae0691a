/** Look at choices; click pictures to say which is best, drop and take back. Nothing is deleted: lines are appended. */

import { ask, complain, h } from "./dom.js";

const COUNT = 24;
const at = (id) => document.getElementById(id);
let begin = 0;
let asked = 0;

function picture(row, key, place, canChange, redraw) {
  const most = Math.max(...row.weights);
  const isBest = row.is_known && row.weights[place] === most;
  const rank = row.is_known ? 1 + row.weights.filter((other) => other > row.weights[place]).length : "=";
  const words = `Picture ${place + 1}${isBest ? ", the best" : ""}`;
  const change = async () => {
    try {
      const order = isBest ? [] : [[place]];
      Object.assign(row, await ask("choices/correct", { id: row.id, order }));
      complain(null);
      redraw();
    } catch (error) {
      complain(error);
    }
  };
  const image = h("img", { src: `pictures/${key}`, alt: "", loading: "lazy" });
  const props = { class: `picture${isBest ? " best" : ""}`, "aria-label": words, "aria-pressed": String(isBest) };
  return h("button", { ...props, type: "button", disabled: !canChange || row.isDropped, onclick: change }, image, h("span", { class: "mark" }, String(rank)));
}

function choice(row, canChange) {
  if (row.broken) return h("section", { class: "choice" }, h("p", { class: "error" }, row.broken));
  const node = h("section", { class: "choice" });
  const draw = () => {
    const toggle = async () => {
      try {
        await ask(row.isDropped ? "choices/restore" : "choices/drop", { id: row.id });
        row.isDropped = !row.isDropped;
        complain(null);
        draw();
      } catch (error) {
        complain(error);
      }
    };
    node.classList.toggle("dropped", Boolean(row.isDropped));
    node.replaceChildren(
      h("h2", {}, row.prompt || "(no prompt)"),
      h("div", { class: "pictures" }, row.pictures.map((key, place) => picture(row, key, place, canChange, draw))),
      h(
        "div",
        { class: "foot" },
        h("span", { class: "soft" }, [row.id, row.time, row.rater && `rater ${row.rater.slice(0, 6)}`].filter(Boolean).join(" · ")),
        canChange ? h("button", { type: "button", onclick: toggle }, row.isDropped ? "Take it back" : "Drop") : null,
      ),
    );
  };
  draw();
  return node;
}

async function show() {
  const mine = ++asked;
  try {
    const words = encodeURIComponent(at("words").value);
    const found = await ask(`choices?begin=${begin}&count=${COUNT}&words=${words}`);
    if (mine !== asked) return;
    at("name").textContent = found.name;
    at("count").textContent = `${found.total} choices${found.broken ? `, ${found.broken} rows are broken` : ""}${found.can_change ? "" : ", to look at only"}`;
    at("choices").replaceChildren(...found.rows.map((row) => choice(row, found.can_change)));
    at("where").textContent = found.total ? `${begin + 1} to ${begin + found.rows.length}` : "nothing";
    at("back").disabled = begin === 0;
    at("on").disabled = begin + COUNT >= found.total;
    complain(null);
  } catch (error) {
    complain(error);
  }
}

function turn(to) {
  begin = Math.max(0, to);
  window.scrollTo(0, 0);
  show();
}

at("back").addEventListener("click", () => turn(begin - COUNT));
at("on").addEventListener("click", () => turn(begin + COUNT));
at("words").addEventListener("input", () => turn(0));
show();

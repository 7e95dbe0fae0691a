/** The bar above a session, and the buttons below its pictures. */
import { button, fill, focused, h, icon } from "./dom.js";

const KEYS = [
  ["1–9", "rank"],
  ["=", "tie"],
  ["0", "none is better"],
  ["Space", "zoom"],
  ["C", "compare"],
  ["Ctrl+Z", "undo"],
  ["Enter", "next"],
];

/** @returns {{node: HTMLElement, name: HTMLInputElement, gear: HTMLElement, update: Function}} */
export function makeHead({ ctl, tabs, leave, rename, settings, finish, enlarge }) {
  const name = h("input", { class: "hps-name", type: "text", "aria-label": "Name of the session", maxlength: 200 });
  name.addEventListener("change", () => rename(name.value.trim()));
  name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
  const gear = button([icon("gear"), h("span", {}, "Settings")], settings, {
    "aria-expanded": "false",
    "aria-label": "Settings",
    class: "hps-tool",
  });
  const done = button("Finish", finish, {
    class: "hps-tool",
    title: "Good enough: draw the winner larger and save it",
  });
  const back = button([icon("back"), h("span", {}, "Sessions")], leave, {
    "aria-label": "Sessions",
    class: "hps-quiet hps-tool",
  });

  function update() {
    const can = ctl.can();
    if (focused(name) !== name) name.value = ctl.state.name;
    done.disabled = !can.finish;
    gear.disabled = !can.change;
  }

  return { node: h("header", { class: "hps-top" }, back, name, tabs, gear, enlarge, done), gear, update };
}

/** @returns {{node: HTMLElement, hints: HTMLElement, update: Function}} */
export function makeDock({ ctl, tray, compare }) {
  const undo = button("", () => ctl.undo(), { class: "hps-tool" });
  const two = button([icon("compare"), h("span", {}, "Compare")], compare, {
    class: "hps-tool",
    title: "Two side by side (C)",
    "aria-label": "Compare two side by side",
  });
  const same = button("=", () => ctl.tie(), {
    class: "hps-tool",
    title: "Tie: the next one you pick shares the last place (= or Shift+click)",
    "aria-label": "Tie with the one before",
  });
  const none = button("None is better", () => ctl.none(), { class: "hps-tool", title: "Key 0" });
  const next = button("Next", () => ctl.next(), { class: "hps-primary hps-next" });
  const actions = h("div", { class: "hps-actions" }, undo, two, same, none, next);
  const hints = h(
    "p",
    { class: "hps-keys", "aria-hidden": "true" },
    KEYS.map(([key, does]) => h("span", {}, h("kbd", {}, key), ` ${does}`)),
  );

  function update() {
    const can = ctl.can();
    const what = can.undoAnswer && can.undo ? `Undo round ${ctl.state.history.at(-1).round}` : "Undo";
    if (undo.getAttribute("aria-label") !== what) fill(undo, icon("undo"), h("span", {}, what));
    undo.setAttribute("aria-label", what);
    undo.title = `${can.undoAnswer ? "Take the last answer back" : "Take the last step back"} (Ctrl+Z)`;
    undo.disabled = !can.undo;
    two.disabled = !can.compare;
    same.disabled = !can.rank || !ctl.draft.tiers.length;
    same.setAttribute("aria-pressed", String(ctl.tied()));
    none.disabled = !can.rank;
    none.setAttribute("aria-pressed", String(ctl.draft.none));
    next.disabled = !can.next && !can.draw;
    next.textContent = can.draw ? "Draw the pictures" : "Next";
  }

  return { node: h("div", { class: "hps-dock" }, tray, actions), hints, update };
}

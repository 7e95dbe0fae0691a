/** Two pictures, side by side. */
import { drawn, largeImage, makeDialog, placeWords } from "./dialog.js";
import { button, fill, h } from "./dom.js";
import * as ranks from "./ranking.js";

/** Two candidates side by side: which one is better? */
export function makeCompare({ board, api, ctl }) {
  const dialog = makeDialog(board, "Compare two pictures", "hps-compare");
  let pair = [];
  let shown = "";
  const key = () => JSON.stringify([pair, ctl.draft, drawn(ctl).map((one) => one.picture)]);

  function open() {
    const list = drawn(ctl).map((one) => one.number);
    if (!ctl.can().compare) return;
    const ranked = ctl.draft.tiers.flat().filter((one) => list.includes(one));
    pair = [...new Set([...ranked, ...list])].slice(0, 2);
    if (!dialog.open) dialog.showModal();
    paint("left");
  }

  function paint(focus) {
    shown = key();
    const held = focus ?? dialog.querySelector(":focus")?.dataset.side;
    if (pair.some((number) => !drawn(ctl).some((one) => one.number === number))) return dialog.close();
    fill(
      dialog,
      h("div", { class: "hps-pair" }, side(0, "left"), side(1, "right")),
      h(
        "div",
        { class: "hps-zoom-bar" },
        button("Equally good (=)", same, { "data-side": "same" }),
        h("span", { class: "hps-zoom-words" }, said()),
        button("Done", () => dialog.close(), { "data-side": "done" }),
      ),
    );
    dialog.querySelector(`[data-side="${held}"]`)?.focus();
  }

  function said() {
    if (!ctl.draft.tiers.length) return "← or → says which one is better";
    return `Your order: ${ranks.words(ctl.draft.tiers)}`;
  }

  function side(at, name) {
    const number = pair[at];
    const one = drawn(ctl).find((each) => each.number === number);
    const others = drawn(ctl).map((each) =>
      h(
        "button",
        {
          type: "button",
          class: "hps-chip-choice",
          "aria-pressed": String(each.number === number),
          "aria-label": `Picture ${each.number} on the ${name}`,
          disabled: each.number === pair[1 - at],
          onclick: () => ((pair[at] = each.number), paint()),
        },
        each.number,
      ),
    );
    const better = button(`${at ? "" : "← "}${number} is better${at ? " →" : ""}`, () => wins(at), {
      class: "hps-primary",
      "data-side": name,
    });
    return h(
      "div",
      { class: "hps-side" },
      h("div", { class: "hps-choices", role: "group", "aria-label": `Picture on the ${name}` }, others),
      largeImage(api.picture(one.picture), `Picture ${number}`),
      h("div", { class: "hps-side-words" }, better, h("span", {}, placeWords(ctl, number))),
    );
  }

  /** The winner stays, and the next one that was not compared comes to the other side. */
  function wins(at) {
    ctl.change(ranks.prefer(ctl.draft, pair[at], pair[1 - at]));
    advance(1 - at);
  }

  function same() {
    ctl.change(ranks.equal(ctl.draft, pair[0], pair[1]));
    advance(1);
  }

  function advance(at) {
    const list = drawn(ctl).map((one) => one.number);
    const next = list.slice(list.indexOf(pair[at]) + 1).find((number) => !pair.includes(number));
    if (next !== undefined) pair[at] = next;
    paint();
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") wins(0);
    else if (event.key === "ArrowRight") wins(1);
    else if (event.key === "=") same();
    else if (event.key.toLowerCase() === "c") dialog.close();
    else if (/^[1-9]$/.test(event.key)) choose(Number(event.key));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function choose(number) {
    if (pair.includes(number) || !drawn(ctl).some((one) => one.number === number)) return;
    pair[1] = number;
    paint();
  }

  return { open, update: () => dialog.open && key() !== shown && paint() };
}

/** Dialogs over the board: one picture large, and two side by side. */
import { button, fill, h, icon, ordinal } from "./dom.js";
import * as ranks from "./ranking.js";

const SMALL_PX = 128;

/** A modal dialog inside the board; the browser keeps the focus in it and gives it back. */
export function makeDialog(board, label, className) {
  const node = h("dialog", { class: `hps-dialog ${className}`, "aria-label": label });
  node.addEventListener("click", (event) => event.target === node && node.close());
  board.append(node);
  return node;
}

/** An image that keeps visible pixels where it is tiny. */
export function largeImage(source, alt) {
  const image = h("img", { class: "hps-large", alt, src: source, draggable: "false" });
  image.addEventListener("load", () => image.classList.toggle("hps-pixels", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_PX));
  return image;
}

const drawn = (ctl) => (ctl.state?.candidates ?? []).filter((one) => one.picture);

function placeWords(ctl, number) {
  const tier = ranks.tierOf(ctl.draft, number);
  if (tier < 0) return "not ranked";
  return (ctl.draft.tiers[tier].length > 1 ? "tied " : "") + ordinal(tier + 1);
}

/** One picture as large as the screen: a candidate with its neighbours, or any other picture. */
export function makeZoom({ board, api, ctl }) {
  const dialog = makeDialog(board, "Picture, large", "hps-zoom");
  let number = null;
  let heldSince = 0;
  let shown = "";

  function open(which, { isHeld = false } = {}) {
    const list = drawn(ctl);
    number = list.some((one) => one.number === which) ? which : list[0]?.number;
    if (number === undefined) return;
    if (!dialog.open) dialog.showModal();
    paint();
    if (isHeld) window.addEventListener("pointerup", close, { once: true });
  }

  function show(source, words) {
    number = null;
    fill(dialog, largeImage(source, words), bar(h("span", { class: "hps-zoom-words" }, words)));
    if (!dialog.open) dialog.showModal();
  }

  const close = () => dialog.open && dialog.close();
  const bar = (...parts) => h("div", { class: "hps-zoom-bar" }, parts, button(icon("close"), close, { class: "hps-round", "aria-label": "Close" }));

  const key = () => JSON.stringify([number, ctl.draft, ctl.can().rank, drawn(ctl).map((one) => one.picture)]);

  function paint() {
    shown = key();
    const one = drawn(ctl).find((each) => each.number === number);
    if (!one) return close();
    const tier = ranks.tierOf(ctl.draft, number);
    const rank = button(tier < 0 ? `Rank it ${ordinal(ctl.draft.tiers.length + 1)}` : `${placeWords(ctl, number)}: take back`, () => ctl.pick(number), { class: tier < 0 ? "hps-primary" : "" });
    rank.disabled = !ctl.can().rank;
    const words = h("span", { class: "hps-zoom-words" }, h("b", {}, `Picture ${number}`), one.is_incumbent ? " · best so far" : "", one.score === null ? "" : ` · score ${one.score.toFixed(3)}`);
    const hadFocus = dialog.querySelector(":focus")?.dataset.zoom;
    const before = button("‹", () => step(-1), { class: "hps-round", "aria-label": "Picture before", "data-zoom": "before" });
    const after = button("›", () => step(1), { class: "hps-round", "aria-label": "Next picture", "data-zoom": "after" });
    rank.dataset.zoom = "rank";
    fill(dialog, largeImage(api.picture(one.picture), `Picture ${number}`), bar(before, words, rank, after));
    (dialog.querySelector(`[data-zoom="${hadFocus ?? "rank"}"]`) ?? dialog).focus();
  }

  function step(by) {
    const numbers = drawn(ctl).map((one) => one.number);
    number = numbers[(numbers.indexOf(number) + by + numbers.length) % numbers.length];
    paint();
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key === " " && !event.repeat) close();
    else if (number !== null && event.key === "ArrowLeft") step(-1);
    else if (number !== null && event.key === "ArrowRight") step(1);
    else if (/^[1-9]$/.test(event.key) && number !== null) ctl.pick(Number(event.key));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  dialog.addEventListener("keyup", (event) => {
    if (event.key === " " && heldSince && performance.now() - heldSince > 400) close();
    if (event.key === " ") event.preventDefault();
    heldSince = 0;
  });
  listenForSwipes(dialog, step);
  return {
    open,
    show,
    /** Space: stays after a short press, closes with the key after a long one. */
    openByKey(which) {
      heldSince = performance.now();
      open(which);
    },
    update: () => dialog.open && number !== null && key() !== shown && paint(),
  };
}

function listenForSwipes(node, step) {
  let from = null;
  node.addEventListener("pointerdown", (event) => (from = event.pointerType === "touch" ? event.clientX : null));
  node.addEventListener("pointerup", (event) => {
    if (from !== null && Math.abs(event.clientX - from) > 50) step(event.clientX < from ? 1 : -1);
    from = null;
  });
}

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
      h("div", { class: "hps-zoom-bar" }, button("Equally good (=)", same, { "data-side": "same" }), h("span", { class: "hps-zoom-words" }, said()), button("Done", () => dialog.close(), { "data-side": "done" })),
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
      h("button", { type: "button", class: "hps-chip-choice", "aria-pressed": String(each.number === number), "aria-label": `Picture ${each.number} on the ${name}`, disabled: each.number === pair[1 - at], onclick: () => ((pair[at] = each.number), paint()) }, each.number),
    );
    const better = button(`${at ? "" : "← "}${number} is better${at ? " →" : ""}`, () => wins(at), { class: "hps-primary", "data-side": name });
    return h("div", { class: "hps-side" }, h("div", { class: "hps-choices", role: "group", "aria-label": `Picture on the ${name}` }, others), largeImage(api.picture(one.picture), `Picture ${number}`), h("div", { class: "hps-side-words" }, better, h("span", {}, placeWords(ctl, number))));
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

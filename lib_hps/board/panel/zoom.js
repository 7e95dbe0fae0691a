/** One picture, large. */
import { drawn, largeImage, makeDialog, placeWords } from "./dialog.js";
import { button, fill, h, icon, ordinal } from "./dom.js";
import { tierOf } from "./ranking.js";

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
  const bar = (...parts) =>
    h(
      "div",
      { class: "hps-zoom-bar" },
      parts,
      button(icon("close"), close, { class: "hps-round", "aria-label": "Close" }),
    );

  const key = () => JSON.stringify([number, ctl.draft, ctl.can().rank, drawn(ctl).map((one) => one.picture)]);

  function paint() {
    shown = key();
    const one = drawn(ctl).find((each) => each.number === number);
    if (!one) return close();
    const tier = tierOf(ctl.draft, number);
    const rank = button(
      tier < 0 ? `Rank it ${ordinal(ctl.draft.tiers.length + 1)}` : `${placeWords(ctl, number)}: take back`,
      () => ctl.pick(number),
      { class: tier < 0 ? "hps-primary" : "" },
    );
    rank.disabled = !ctl.can().rank;
    const words = h(
      "span",
      { class: "hps-zoom-words" },
      h("b", {}, `Picture ${number}`),
      one.is_incumbent ? " · best so far" : "",
      one.score === null ? "" : ` · score ${one.score.toFixed(3)}`,
    );
    const hadFocus = dialog.querySelector(":focus")?.dataset.zoom;
    const before = button("‹", () => step(-1), {
      class: "hps-round",
      "aria-label": "Picture before",
      "data-zoom": "before",
    });
    const after = button("›", () => step(1), {
      class: "hps-round",
      "aria-label": "Next picture",
      "data-zoom": "after",
    });
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

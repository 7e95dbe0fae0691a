/** What the dialogs over the board share. */
import { h, ordinal } from "./dom.js";
import { tierOf } from "./ranking.js";

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
  image.addEventListener("load", () =>
    image.classList.toggle("hps-pixels", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_PX),
  );
  return image;
}

/** The candidates that one can see already. */
export const drawn = (ctl) => (ctl.state?.candidates ?? []).filter((one) => one.picture);

/** "not ranked", "2nd" or "tied 2nd". */
export function placeWords(ctl, number) {
  const tier = tierOf(ctl.draft, number);
  if (tier < 0) return "not ranked";
  return (ctl.draft.tiers[tier].length > 1 ? "tied " : "") + ordinal(tier + 1);
}

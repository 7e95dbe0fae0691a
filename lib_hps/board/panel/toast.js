/** Short notes at the lower edge, and the invisible region that screen readers read out. */
import { button, h, icon } from "./dom.js";

const NOTE_MS = 6000;
const ERROR_MS = 15000;

/** @returns {{node: HTMLElement, live: HTMLElement, toast: Function, announce: Function}} */
export function makeToasts() {
  const node = h("div", { class: "hps-toasts" });
  const live = h("div", { class: "hps-hidden", role: "status", "aria-live": "polite" });

  /**
   * Show one sentence.
   * @param {string} text
   * @param {{isError?: boolean, action?: {label: string, run: Function}}} options
   */
  function toast(text, { isError = false, action = null } = {}) {
    for (const old of node.children) if (old.dataset.text === text) old.remove();
    const close = () => note.remove();
    const note = h(
      "div",
      { class: `hps-toast ${isError ? "hps-error" : ""}`, role: isError ? "alert" : "status", "data-text": text },
      h("span", {}, text),
      action ? button(action.label, () => (close(), action.run()), { class: "hps-small" }) : null,
      button(icon("close"), close, { class: "hps-quiet hps-small", "aria-label": "Close this message" }),
    );
    node.append(note);
    setTimeout(close, isError ? ERROR_MS : NOTE_MS);
  }

  let last = "";
  function announce(text) {
    if (text === last) return;
    last = text;
    live.textContent = text;
  }

  return { node, live, toast, announce };
}

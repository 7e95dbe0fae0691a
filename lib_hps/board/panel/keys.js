/** The keys of the board. They never reach for text fields, nor for anything outside the board. */
import { isTyping } from "./dom.js";

/**
 * @param {{root: HTMLElement, target: EventTarget, ctl: object, zoom: object, compare: object, enlarge: object}} board `target` is what
 *     listens: the board itself, or the document of a page that is nothing but the board.
 * @returns {Function} stops listening
 */
export function listenForKeys({ root, target, ctl, zoom, compare, enlarge }) {
  let hovered = null;
  root.addEventListener("pointerover", (event) => (hovered = numberAt(event.target)));

  function onkeydown(event) {
    const { activeElement } = document;
    const isOurs =
      root.contains(event.target) ||
      (event.target === document.body && (activeElement === document.body || !activeElement));
    if (!isOurs || event.defaultPrevented || event.isComposing || isTyping(event.target) || !ctl.state) return;
    if (root.querySelector("dialog[open]") && !isUndo(event)) return;
    if (event.key === "Escape" && enlarge.leave()) event.stopPropagation(); // the host's Esc means Interrupt
    else if (press(event)) event.preventDefault();
  }

  /** True where the key meant something. */
  function press(event) {
    if (isUndo(event)) return (ctl.undo(), true);
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const digit = digitOf(event);
    if (digit !== null && !event.repeat) return (digit.value ? ctl.pick(digit.value, digit.isTied) : ctl.none(), true);
    const onPick = event.target.closest?.(".hps-pick");
    const onControl = !onPick && event.target.closest?.("button, a, summary, label, [role=radio]");
    if (event.key === "Enter" && !onControl && !event.repeat) return (ctl.next(), true);
    if (event.key === " " && !onControl)
      return (event.repeat || zoom.openByKey(numberAt(onPick) ?? hovered ?? ctl.draft.tiers[0]?.[0] ?? 1), true);
    if (event.key === "=") return (ctl.tie(), true);
    if (event.key.toLowerCase() === "c") return (compare.open(), true);
    if (onPick && event.key.startsWith("Arrow")) return walk(onPick, event.key);
    return false;
  }

  function walk(pick, key) {
    const picks = [...root.querySelectorAll(".hps-pick:not(:disabled)")];
    const columns = Number(getComputedStyle(pick).getPropertyValue("--hps-columns")) || 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    picks[picks.indexOf(pick) + step]?.focus();
    return true;
  }

  target.addEventListener("keydown", onkeydown);
  return () => target.removeEventListener("keydown", onkeydown);
}

const isUndo = (event) => (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z";

const numberAt = (node) => Number(node?.closest?.(".hps-card")?.dataset.number) || null;

/** The digit of a key on any layout; with Shift it is a tie where Shift is not what makes it a digit. */
function digitOf(event) {
  if (/^[0-9]$/.test(event.key)) return { value: Number(event.key), isTied: false };
  const code = /^Digit([0-9])$/.exec(event.code ?? "");
  if (!code || (!event.shiftKey && event.key.length !== 1)) return null;
  return { value: Number(code[1]), isTied: event.shiftKey };
}

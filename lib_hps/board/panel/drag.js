/** Dragging a picture into the order: a ghost under the pointer, a mark where it would land. */
import { h } from "./dom.js";

const FAR_PX = 6;

/**
 * Follow the pointer from its press on; a drag begins when it went far enough, so a click stays a click.
 * @param {PointerEvent} down
 * @param {number} number the picture's
 * @param {{onstart?: Function, drop: {show: Function, end: Function}, api: object, ctl: object}} how
 */
export function startDrag(down, number, { onstart, drop, api, ctl }) {
  const source = down.currentTarget;
  const board = source.closest(".hps-board");
  let ghost = null;
  let target = null;

  function move(event) {
    if (event.pointerId !== down.pointerId) return;
    if (!ghost) {
      if (Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < FAR_PX) return;
      onstart?.();
      const one = ctl.state.candidates.find((each) => each.number === number);
      ghost = h(
        "div",
        { class: "hps-ghost", "aria-hidden": "true" },
        h("img", { alt: "", src: api.picture(one.thumb ?? one.picture) }),
      );
      board.append(ghost);
      board.classList.add("hps-dragging");
    }
    ghost.style.setProperty("--hps-x", `${event.clientX}px`);
    ghost.style.setProperty("--hps-y", `${event.clientY}px`);
    target = drop.show(event.clientX, event.clientY, number);
    event.preventDefault();
  }

  function end(event) {
    if (event.pointerId !== down.pointerId) return;
    for (const name of ["pointermove", "pointerup", "pointercancel"])
      window.removeEventListener(name, name === "pointermove" ? move : end);
    if (!ghost) return;
    ghost.remove();
    board.classList.remove("hps-dragging");
    source.dataset.dragged = "yes"; // the click that follows is not a pick
    setTimeout(() => delete source.dataset.dragged, 50);
    drop.end(event.type === "pointerup" ? target : null, number);
  }

  window.addEventListener("pointermove", move);
  window.addEventListener("pointerup", end);
  window.addEventListener("pointercancel", end);
}

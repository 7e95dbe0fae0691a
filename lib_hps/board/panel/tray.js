/** The order so far as a row of thumbnails: drag or arrow keys reorder, "=" ties, a click takes back. */
import { fill, focused, h, ordinal } from "./dom.js";
import { startDrag } from "./drag.js";
import * as ranks from "./ranking.js";

/** @returns {{node: HTMLElement, update: Function, drop: {show: Function, end: Function}}} */
export function makeTray({ api, ctl }) {
  const list = h("div", { class: "hps-order", role: "list", "aria-label": "Your order, the best first" });
  const mark = h("span", { class: "hps-mark", "aria-hidden": "true" });
  let shown = "";

  function update() {
    const { state, draft } = ctl;
    const key = JSON.stringify([state?.id, state?.round, draft, ctl.tied()]);
    if (key === shown) return;
    shown = key;
    const chip = focused(list)?.dataset?.chip;
    const hadFocus = list.contains(focused(list));
    if (!state || draft.none || !draft.tiers.length) fill(list, hint(state, draft));
    else fill(list, draft.tiers.map(makeTier));
    list.scrollLeft = list.scrollWidth;
    if (hadFocus)
      (list.querySelector(`[data-chip="${chip}"]`) ?? list.closest(".hps-board")).focus({ preventScroll: true });
  }

  const hint = (state, draft) => {
    if (!state) return null;
    return h(
      "span",
      { class: "hps-hint" },
      draft.none ? "None of the new ones is better." : "Your order appears here.",
    );
  };

  function makeTier(tier, index) {
    const isLast = index === ctl.draft.tiers.length - 1;
    const chips = tier.map((number) => makeChip(number, index, tier.length > 1));
    const wait = isLast && ctl.tied() ? h("span", { class: "hps-chip hps-waiting", "aria-hidden": "true" }, "=") : null;
    return h(
      "div",
      { class: "hps-tier", role: "listitem", "data-tier": index },
      h("div", { class: "hps-chips" }, chips, wait),
      h("span", { class: "hps-tier-place", "aria-hidden": "true" }, ordinal(index + 1)),
    );
  }

  function makeChip(number, index, isTied) {
    const one = ctl.state.candidates.find((each) => each.number === number);
    const label = `Picture ${number}, ${isTied ? "tied " : ""}${ordinal(index + 1)}. Arrow keys move it, equals ties it with the one before, Delete takes it back.`;
    const chip = h(
      "button",
      {
        type: "button",
        class: "hps-chip",
        "data-chip": number,
        "aria-label": label,
        title: "Drag to reorder, click to take back",
      },
      h("img", { alt: "", src: api.picture(one.thumb ?? one.picture), draggable: "false" }),
      h("span", { class: "hps-chip-number" }, number),
    );
    chip.addEventListener("pointerdown", (event) => event.button === 0 && startDrag(event, number, { drop, api, ctl }));
    chip.addEventListener("click", () => !chip.dataset.dragged && ctl.change(ranks.drop(ctl.draft, number)));
    chip.addEventListener("keydown", (event) => {
      const changed = byKey(event.key, number);
      if (!changed || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      ctl.change(changed);
    });
    return chip;
  }

  function byKey(key, number) {
    if (key === "ArrowLeft" || key === "ArrowUp") return ranks.nudge(ctl.draft, number, -1);
    if (key === "ArrowRight" || key === "ArrowDown") return ranks.nudge(ctl.draft, number, 1);
    if (key === "=") return ranks.toggleTie(ctl.draft, number);
    if (key === "Delete" || key === "Backspace") return ranks.drop(ctl.draft, number);
    return null;
  }

  const drop = {
    /** Mark where picture `number` would land; null where it would not. */
    show(x, y, number) {
      mark.remove();
      clear();
      const under = list.getRootNode().elementFromPoint(x, y);
      const card = under?.closest?.(".hps-card");
      if (card && Number(card.dataset.number) !== number) {
        const tier = ranks.tierOf(ctl.draft, Number(card.dataset.number));
        card.classList.add("hps-target");
        return { before: tier < 0 ? ctl.draft.tiers.length : tier };
      }
      if (!under?.closest?.(".hps-tray")) return null;
      const tiers = [...list.querySelectorAll(".hps-tier")];
      for (const [index, tier] of tiers.entries()) {
        const box = tier.getBoundingClientRect();
        if (y > box.bottom + 4 || x > box.right) continue;
        const part = (x - box.left) / box.width;
        if (
          part > 0.3 &&
          part < 0.7 &&
          !(ctl.draft.tiers[index].length === 1 && ctl.draft.tiers[index][0] === number)
        ) {
          tier.classList.add("hps-target");
          return { tie: index };
        }
        tier[part <= 0.5 ? "before" : "after"](mark);
        return { before: part <= 0.5 ? index : index + 1 };
      }
      list.append(mark);
      return { before: tiers.length };
    },
    end(target, number) {
      mark.remove();
      clear();
      if (target) ctl.change(ranks.place(ctl.draft, number, target));
    },
  };

  const clear = () => {
    const marked = list.closest(".hps-board")?.querySelectorAll(".hps-target") ?? [];
    for (const one of marked) one.classList.remove("hps-target");
  };

  return { node: h("div", { class: "hps-tray" }, list), update, drop };
}

/** The numbered candidates: pick, take back, drag, zoom. */
import { focused, h, icon, ordinal } from "./dom.js";
import { startDrag } from "./drag.js";
import { roundOf, tierOf } from "./ranking.js";

const HOLD_MS = 380;
const GAP = 10;
const NEARLY = 0.97; // of the largest size: fewer columns look calmer
const SMALL_PX = 128; // pictures up to this size are drawn with visible pixels

/**
 * @param {{api: object, ctl: object, zoom: Function, drop: Function}} board
 * @returns {{node: HTMLElement, update: Function, fit: Function}}
 */
export function makeStage({ api, ctl, zoom, drop }) {
  const node = h("div", { class: "hps-stage", role: "list", "aria-label": "Candidates" });
  let cards = new Map();
  let shown = "";

  function update() {
    const { state } = ctl;
    const key = state ? roundOf(state) : "";
    if (key !== shown) {
      shown = key;
      const hadFocus = node.contains(focused(node));
      cards = new Map((state?.candidates ?? []).map((one) => [one.number, makeCard(one.number)]));
      node.replaceChildren(...[...cards.values()].map((card) => card.node));
      if (hadFocus) node.closest(".hps-board").focus({ preventScroll: true });
    }
    for (const one of state?.candidates ?? []) cards.get(one.number).update(one);
    node.classList.toggle("hps-none", ctl.draft.none);
    node.classList.toggle("hps-drawing", Boolean(state?.task));
    fit();
  }

  /** As large as they go: the number of columns that gives the largest pictures in the room there is. */
  function fit() {
    const count = cards.size;
    const { width, height } = ctl.state?.settings ?? {};
    if (!node.isConnected) return;
    const aspect = width && height ? width / height : 1;
    node.parentElement.style.setProperty("--hps-room", `${Math.max(220, freeHeight())}px`);
    node.parentElement.style.setProperty("--hps-aspect", aspect);
    if (!count) return;
    const isNarrow = node.clientWidth < 440;
    const room = { w: node.clientWidth, h: isNarrow ? Infinity : Math.max(240, freeHeight()) };
    const columns = isNarrow ? 2 : bestColumns(count, aspect, room);
    const size = cellWidth(count, columns, aspect, room);
    node.style.setProperty("--hps-columns", columns);
    node.style.setProperty("--hps-cell", `${Math.floor(size)}px`);
  }

  /** What the window leaves for the pictures when everything else is on screen but what is open for a while only. */
  function freeHeight() {
    const column = node.parentElement;
    const others = [...column.children].filter((child) => child !== node && !child.matches(".hps-auto"));
    const passing = [...node.closest(".hps-session-view").querySelectorAll(":scope > .hps-passing")];
    const gaps = parseFloat(getComputedStyle(column).rowGap) || 0;
    const used = others.reduce((sum, child) => sum + (child.offsetHeight ? child.offsetHeight + gaps : 0), 0);
    const open = passing.reduce((sum, each) => sum + each.offsetHeight, 0);
    const scrolled = (node.closest(".hps-filling") ?? document.scrollingElement)?.scrollTop ?? 0;
    const top = Math.max(0, column.getBoundingClientRect().top + scrolled - open);
    const inside = column.getBoundingClientRect().top - node.closest(".hps-board").getBoundingClientRect().top - open;
    const above = top < window.innerHeight / 2 ? top : inside; // else one scrolls until the board fills the window
    return window.innerHeight - above - used - 14;
  }

  function makeCard(number) {
    const image = h("img", { class: "hps-picture", alt: "", draggable: "false", hidden: true });
    const place = h("span", { class: "hps-place", "aria-hidden": "true", hidden: true });
    const pick = h(
      "button",
      { type: "button", class: "hps-pick", "aria-keyshortcuts": number < 10 ? String(number) : null },
      image,
    );
    const best = h("span", { class: "hps-best", hidden: true }, "best so far");
    const look = h(
      "button",
      {
        type: "button",
        class: "hps-look",
        title: "Zoom (Space, double click or hold)",
        "aria-label": `Zoom picture ${number}`,
        onclick: () => zoom.open(number),
      },
      icon("zoom"),
    );
    const card = h(
      "div",
      { class: "hps-card", role: "listitem", "data-number": number },
      pick,
      h("span", { class: "hps-number", "aria-hidden": "true" }, number),
      best,
      place,
      look,
    );
    image.addEventListener("load", () => {
      image.classList.toggle("hps-pixels", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL_PX);
      card.classList.add("hps-loaded");
    });
    listen(pick, number);

    function paint(one) {
      const address = api.picture(one.picture);
      if (address && image.getAttribute("src") !== address) image.src = address;
      image.hidden = !address;
      const tier = tierOf(ctl.draft, number);
      const isTied = tier >= 0 && ctl.draft.tiers[tier].length > 1;
      card.classList.toggle("hps-ranked", tier >= 0);
      card.classList.toggle("hps-first", tier === 0);
      card.classList.toggle("hps-empty", !address);
      place.hidden = tier < 0;
      place.textContent = tier < 0 ? "" : (isTied ? "= " : "") + ordinal(tier + 1);
      best.hidden = !one.is_incumbent;
      pick.disabled = !address || !ctl.can().rank;
      look.hidden = !address;
      pick.setAttribute("aria-pressed", String(tier >= 0));
      const rank = tier < 0 ? "not ranked" : `${isTied ? "tied " : ""}${ordinal(tier + 1)}`;
      pick.setAttribute(
        "aria-label",
        `Picture ${number}, ${rank}${one.is_incumbent ? ", best so far" : ""}${address ? "" : ", being drawn"}`,
      );
    }
    return { node: card, update: paint };
  }

  function listen(pick, number) {
    let hold = 0;
    let isHeld = false;
    let before = null;
    const stop = () => clearTimeout(hold);
    pick.addEventListener("pointerdown", (event) => {
      isHeld = false;
      if (event.button !== 0) return;
      hold = setTimeout(() => {
        isHeld = true;
        zoom.open(number, { isHeld: event.pointerType === "mouse" });
      }, HOLD_MS);
      if (event.pointerType === "mouse" && ctl.can().rank) startDrag(event, number, { onstart: stop, drop, api, ctl });
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) pick.addEventListener(name, stop);
    pick.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
    pick.addEventListener("click", (event) => {
      if (isHeld || pick.dataset.dragged) {
        isHeld = false;
        delete pick.dataset.dragged;
        return;
      }
      if (event.detail === 2 && before) {
        ctl.takeBackTo(before);
        before = null;
        zoom.open(number);
        return;
      }
      before = ctl.draft;
      ctl.pick(number, event.shiftKey);
    });
  }

  return { node, update, fit, card: (number) => cards.get(number)?.node };
}

function cellWidth(count, columns, aspect, room) {
  const rows = Math.ceil(count / columns);
  return Math.min((room.w - (columns - 1) * GAP) / columns, ((room.h - (rows - 1) * GAP) / rows) * aspect);
}

function bestColumns(count, aspect, room) {
  const sizes = Array.from({ length: count }, (_, i) => cellWidth(count, i + 1, aspect, room));
  return sizes.findIndex((size) => size >= NEARLY * Math.max(...sizes)) + 1;
}

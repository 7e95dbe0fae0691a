/**
 * The ranking board: `mount(element, options)` puts it anywhere on a page and takes nothing outside that element.
 * It needs the HTTP API of lib_hps/board and nothing else.
 */
import { ApiError, makeApi } from "./api.js";
import { makeController } from "./controller.js";
import { button, fill, h, icon } from "./dom.js";
import { makeFinish } from "./finish.js";
import { makeHistory } from "./history.js";
import { makeHome } from "./home.js";
import { listenForKeys } from "./keys.js";
import { makeModes, makeRun } from "./modes.js";
import { makeCompare, makeZoom } from "./overlay.js";
import { makeSettings } from "./settings.js";
import { makeStage } from "./stage.js";
import { followTheme } from "./theme.js";
import { makeToasts } from "./toast.js";
import { makeTray } from "./tray.js";
import { headline } from "./words.js";

const HASH = "hps=";
const ANNOUNCE_MS = 5000;

/**
 * @param {HTMLElement} element is filled with the board
 * @param {object} [options]
 * @param {string} [options.api] the API's address; by default the one this file came from
 * @param {EventTarget} [options.keys] what listens for keys; by default the board itself
 * @param {boolean} [options.hash] keep the open session in the page's address (default true)
 * @param {boolean} [options.title] set the document's title
 * @param {"auto"|"light"|"dark"} [options.theme]
 * @param {object} [options.seed] {prompt, settings} that a new session begins with
 * @returns {{open: (id: string) => Promise, unmount: () => void, root: HTMLElement}}
 */
export function mount(element, { api: base = new URL("../..", import.meta.url).href, keys = null, hash = true, title = false, theme = "auto", seed = null } = {}) {
  const api = makeApi(base);
  const root = h("div", { class: "hps-board", tabindex: -1 });
  element.replaceChildren(root);
  const stopTheme = followTheme(root, theme);
  const { node: toasts, live, toast, announce } = makeToasts();
  let offered = {};
  let scorers = [];
  let isDue = false;
  let announced = 0;

  const ctl = makeController(api, { changed: () => changed(), toast, announce });
  const parts = makeParts();
  root.append(parts.top, parts.banner, parts.home.node, parts.session, toasts, live);
  const stopKeys = listenForKeys({ root, target: keys ?? root, ctl, zoom: parts.zoom, compare: parts.compare });
  const sizes = new ResizeObserver(() => parts.stage.fit());
  sizes.observe(parts.work);
  const listeners = [
    [window, "resize", () => parts.stage.fit()],
    [window, "hashchange", openHash],
    [document, "visibilitychange", () => !document.hidden && ctl.refresh()],
  ];
  for (const [target, name, run] of listeners) target.addEventListener(name, run);

  function makeParts() {
    const zoom = makeZoom({ board: root, api, ctl });
    const compare = makeCompare({ board: root, api, ctl });
    const tray = makeTray({ api, ctl });
    const stage = makeStage({ api, ctl, zoom, drop: tray.drop });
    const finish = makeFinish({ board: root, api, ctl, toast, zoom });
    const modes = makeModes({ ctl, scorers: () => scorers, toast, changed: () => changed() });
    const run = makeRun({ api, ctl });
    const past = makeHistory({ api, ctl, zoom, branch });
    const home = makeHome({ api, ctl, toast, options: () => offered, seed });
    const gear = button([icon("gear"), h("span", {}, "Settings")], () => settings.toggle(), { "aria-expanded": "false", class: "hps-tool" });
    const settings = makeSettings({ ctl, options: () => offered, toggled: (isOpen) => (gear.setAttribute("aria-expanded", isOpen), stage.fit()) });
    const name = h("input", { class: "hps-name", type: "text", "aria-label": "Name of the session", maxlength: 200, onchange: rename });
    name.addEventListener("keydown", (event) => event.key === "Enter" && name.blur());
    const done = button("Finish", finish.open, { class: "hps-tool", title: "Good enough: draw the winner larger and save it" });
    const back = button([icon("back"), h("span", {}, "Sessions")], leave, { class: "hps-quiet hps-tool" });
    const top = h("header", { class: "hps-top" }, back, name, modes.tabs, gear, done);
    const say = h("p", { class: "hps-say" });
    const undo = button("", () => ctl.undo(), { class: "hps-tool" });
    const same = button("=", () => ctl.tie(), { class: "hps-tool", title: "Tie: the next one you pick shares the last place (= or Shift+click)", "aria-label": "Tie with the one before" });
    const none = button("None is better", () => ctl.none(), { class: "hps-tool", title: "Key 0" });
    const two = button([icon("compare"), h("span", {}, "Compare")], compare.open, { class: "hps-tool", title: "Two side by side (C)", "aria-label": "Compare two side by side" });
    const next = button("Next", () => ctl.next(), { class: "hps-primary hps-next" });
    const dock = h("div", { class: "hps-dock" }, tray.node, h("div", { class: "hps-actions" }, undo, two, same, none, next));
    const hints = h("p", { class: "hps-keys", "aria-hidden": "true" }, [["1–9", "rank"], ["=", "tie"], ["0", "none is better"], ["Space", "zoom"], ["C", "compare"], ["Ctrl+Z", "undo"], ["Enter", "next"]].map(([key, does]) => h("span", {}, h("kbd", {}, key), ` ${does}`)));
    const work = h("div", { class: "hps-work" }, modes.panel, say, run.strip, run.stage, stage.node, dock, hints);
    const session = h("div", { class: "hps-session-view" }, settings.node, finish.node, h("div", { class: "hps-main" }, work, past.node));
    const banner = h("div", { class: "hps-banner", role: "alert", hidden: true });
    return { zoom, compare, tray, stage, finish, modes, run, past, home, settings, gear, name, done, top, say, undo, same, none, two, next, dock, hints, work, session, banner };
  }

  /** Paint once for any number of changes. */
  function changed() {
    if (isDue) return;
    isDue = true;
    queueMicrotask(() => {
      isDue = false;
      paint();
    });
  }

  function paint() {
    const { state } = ctl;
    const isAuto = ["auto", "mixed"].includes(state?.task);
    parts.home.node.hidden = Boolean(state);
    parts.session.hidden = parts.top.hidden = !state;
    warn();
    parts.home.update();
    if (!state) return shownAs(null);
    if (document.activeElement !== parts.name) parts.name.value = state.name;
    parts.modes.update();
    parts.run.update();
    parts.finish.update();
    parts.past.update();
    parts.tray.update();
    tools();
    parts.stage.node.hidden = parts.run.isShown();
    parts.dock.hidden = parts.hints.hidden = isAuto;
    say(`Round ${state.round}`, headline(ctl), state.change ?? "");
    parts.stage.update();
    parts.zoom.update();
    parts.compare.update();
    speak();
    return shownAs(state);
  }

  function say(...texts) {
    if (parts.say.dataset.said === texts.join("|")) return;
    parts.say.dataset.said = texts.join("|");
    fill(parts.say, h("b", {}, texts[0]), ` ${texts[1]} `, h("span", { class: "hps-change" }, texts[2]));
  }

  function tools() {
    const can = ctl.can();
    fill(parts.undo, icon("undo"), h("span", {}, can.undoAnswer && can.undo ? `Undo round ${ctl.state.history.at(-1).round}` : "Undo"));
    parts.undo.disabled = !can.undo;
    parts.undo.title = can.undoAnswer ? "Take the last answer back (Ctrl+Z)" : "Take the last step back (Ctrl+Z)";
    parts.none.disabled = !can.rank;
    parts.none.setAttribute("aria-pressed", String(ctl.draft.none));
    parts.same.disabled = !can.rank || !ctl.draft.tiers.length;
    parts.same.setAttribute("aria-pressed", String(ctl.tied()));
    parts.two.disabled = !can.compare;
    parts.next.disabled = !can.next && !can.draw;
    parts.next.textContent = can.draw ? "Draw the pictures" : "Next";
    parts.done.disabled = !can.finish;
    parts.gear.disabled = !can.change;
  }

  function warn() {
    const { state, offline } = ctl;
    const text = offline ? "The server does not answer. Nothing is lost; the board goes on when it is back." : (state?.task ? null : state?.error) ?? state?.warning;
    parts.banner.hidden = !text;
    if (parts.banner.textContent !== (text ?? "")) parts.banner.textContent = text ?? "";
  }

  /** Progress for screen readers, not more often than one can listen. */
  function speak() {
    if (!ctl.state.task || performance.now() - announced < ANNOUNCE_MS) return;
    announced = performance.now();
    announce(parts.run.text());
  }

  let open = null;
  function shownAs(state) {
    const id = state?.id ?? null;
    if (title) document.title = state ? `${state.name} · round ${state.round}` : "Ranking board";
    if (id === open) return;
    open = id;
    parts.settings.close();
    if (hash && id !== hashId()) history.pushState(null, "", id ? `#${HASH}${id}` : location.pathname + location.search);
    if (id) root.focus({ preventScroll: true });
    else parts.home.refresh();
  }

  function hashId() {
    const found = location.hash.slice(1).split("&").find((part) => part.startsWith(HASH));
    return found ? decodeURIComponent(found.slice(HASH.length)) : null;
  }

  async function openHash() {
    const id = hash ? hashId() : null;
    if (id === (ctl.state?.id ?? null)) return;
    if (!id) return ctl.close();
    if (!(await ctl.open(id))) {
      history.replaceState(null, "", location.pathname + location.search);
      await parts.home.refresh();
    }
    return null;
  }

  function leave() {
    ctl.close();
    parts.home.focus();
  }

  async function rename() {
    const wanted = parts.name.value.trim();
    if (wanted && wanted !== ctl.state?.name) await ctl.rename(wanted);
    changed();
  }

  async function branch(round) {
    if (await ctl.branch(round)) toast(`This is a new session, as it was before round ${round} was answered. The other one is untouched.`);
  }

  async function begin() {
    try {
      [offered, { scorers }] = await Promise.all([api.options(), api.scorers()]);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(error.message, { isError: true, action: { label: "Try again", run: begin } });
    }
    parts.home.offer();
    parts.modes.offer();
    changed();
    if (hash && hashId()) await openHash();
    else await parts.home.refresh();
  }

  begin();
  return {
    root,
    open: ctl.open,
    unmount() {
      ctl.stop();
      stopKeys();
      stopTheme();
      sizes.disconnect();
      for (const [target, name, run] of listeners) target.removeEventListener(name, run);
      root.remove();
    },
  };
}

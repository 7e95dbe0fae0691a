/**
 * The ranking board: `mount(element, options)` puts it anywhere on a page and takes nothing outside that element.
 * It needs the HTTP API of lib_hps/board and nothing else.
 */
import { address, addressed } from "./address.js";
import { ApiError, makeApi } from "./api.js";
import { makeCompare } from "./compare.js";
import { makeController } from "./controller.js";
import { fill, focused, h } from "./dom.js";
import { makeEnlarge } from "./enlarge.js";
import { makeFinish } from "./finish.js";
import { makeHistory } from "./history.js";
import { makeHome } from "./home.js";
import { listenForKeys } from "./keys.js";
import { makeModes } from "./modes.js";
import { makeRun } from "./run.js";
import { makeSettings } from "./settings.js";
import { makeStage } from "./stage.js";
import { followTheme } from "./theme.js";
import { makeToasts } from "./toast.js";
import { makeDock, makeHead } from "./toolbar.js";
import { makeTray } from "./tray.js";
import { followWidth } from "./width.js";
import { headline } from "./words.js";
import { makeZoom } from "./zoom.js";

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
 * @param {boolean} [options.isEmbedded] the host's own form has the prompt and the settings
 * @param {() => string} [options.prompt] of an embedded board: the prompt in the host's form
 * @param {(api: object) => object} [options.through] lets the host do by itself what draws
 * @param {(id: string|null, how: {isNew: boolean}) => void} [options.opened] is told which session is open
 * @returns {{open: (id: string) => Promise, start: Function, refresh: Function, unmount: () => void, root: HTMLElement}}
 */
export function mount(
  element,
  {
    api: base = new URL("../..", import.meta.url).href,
    keys = null,
    hash = true,
    title = false,
    theme = "auto",
    seed = null,
    isEmbedded = false,
    prompt = null,
    through = (each) => each,
    opened = () => {},
  } = {},
) {
  const api = through(makeApi(base));
  const root = h("div", { class: `hps-board ${isEmbedded ? "hps-embedded" : ""}`, tabindex: -1 });
  element.replaceChildren(root);
  const stops = [followTheme(root, theme), followWidth(root)];
  const { node: toasts, live, toast, announce } = makeToasts();
  let offered = {};
  let scorers = [];
  let isDue = false;
  let announced = 0;

  const ctl = makeController(api, { changed: () => changed(), toast, announce });
  const parts = makeParts();
  root.append(parts.head.node, parts.banner, parts.home.node, parts.session, toasts, live);
  const { zoom, compare, enlarge } = parts;
  stops.push(listenForKeys({ root, target: keys ?? root, ctl, zoom, compare, enlarge }));
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
    const modes = makeModes({ ctl, scorers: () => scorers, toast, changed });
    const run = makeRun({ api, ctl });
    const past = makeHistory({ api, ctl, zoom, branch });
    const home = makeHome({ api, ctl, toast, options: () => offered, seed, hostPrompt: isEmbedded ? prompt : null });
    const settings = makeSettings({ ctl, options: () => offered, toggled: () => openSettings() });
    const toggle = () => settings.toggle();
    const enlarge = makeEnlarge({ root, resized: () => stage.fit() });
    const shown = isEmbedded ? enlarge.node : null;
    const head = makeHead({ ctl, tabs: modes.tabs, leave, rename, settings: toggle, finish: finish.open, enlarge: shown });
    head.gear.hidden = isEmbedded;
    const dock = makeDock({ ctl, tray: tray.node, compare: compare.open });
    const say = h("p", { class: "hps-say" });
    const banner = h("div", { class: "hps-banner", role: "alert", hidden: true });
    const stages = [run.stage, stage.node];
    const work = h("div", { class: "hps-work" }, modes.panel, say, run.strip, stages, dock.node, dock.hints);
    const main = h("div", { class: "hps-main" }, work, past.node);
    const session = h("div", { class: "hps-session-view" }, settings.node, finish.node, main);
    return {
      zoom,
      compare,
      enlarge,
      tray,
      stage,
      finish,
      modes,
      run,
      past,
      home,
      settings,
      head,
      dock,
      say,
      banner,
      work,
      session,
    };
  }

  function openSettings() {
    parts.head.gear.setAttribute("aria-expanded", String(!parts.settings.node.hidden));
    parts.stage.fit();
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
    parts.session.hidden = parts.head.node.hidden = !state;
    warn();
    parts.home.update();
    if (!state) return shownAs(null);
    parts.modes.update();
    parts.run.update();
    parts.finish.update();
    parts.past.update();
    parts.tray.update();
    parts.head.update();
    parts.dock.update();
    parts.stage.node.hidden = parts.run.isShown();
    parts.dock.node.hidden = parts.dock.hints.hidden = isAuto;
    say(`Round ${state.round}`, headline(ctl), state.change ?? "");
    parts.stage.update();
    parts.zoom.update();
    parts.compare.update();
    speak();
    if (focused(root)?.disabled && root.contains(focused(root))) root.focus({ preventScroll: true }); // else the keys are dead
    return shownAs(state);
  }

  function say(...texts) {
    if (parts.say.dataset.said === texts.join("|")) return;
    parts.say.dataset.said = texts.join("|");
    fill(parts.say, h("b", {}, texts[0]), ` ${texts[1]} `, h("span", { class: "hps-change" }, texts[2]));
  }

  function warn() {
    const { state, offline } = ctl;
    const text = offline
      ? "The server does not answer. Nothing is lost; the board goes on when it is back."
      : ((state?.task ? null : state?.error) ?? state?.warning);
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
    if (id === open) return null;
    open = id;
    opened(id, { isNew: ctl.isNew });
    parts.settings.close();
    if (hash && id !== addressed()) address(id);
    if (!id) return parts.home.refresh();
    root.focus({ preventScroll: true });
    if (isEmbedded && ctl.isNew) root.scrollIntoView({ block: "start" });
    return null;
  }

  async function openHash() {
    const id = hash ? addressed() : null;
    if (id === (ctl.state?.id ?? null)) return;
    if (!id) return ctl.close();
    if (!(await ctl.open(id))) {
      address(null, { replaces: true });
      await parts.home.refresh();
    }
    return null;
  }

  function leave() {
    parts.enlarge.leave();
    ctl.close();
    parts.home.focus();
  }

  async function rename(name) {
    if (name && name !== ctl.state?.name) await ctl.rename(name);
    changed();
  }

  async function branch(round) {
    if (await ctl.branch(round))
      toast(`This is a new session, as it was before round ${round} was answered. The other one is untouched.`);
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
    if (hash && addressed()) await openHash();
    else await parts.home.refresh();
  }

  begin();
  return {
    root,
    open: ctl.open,
    /** Begin a session as the button does. */
    start: parts.home.start,
    /** Look whether something goes on in the open session. */
    refresh: ctl.refresh,
    unmount() {
      ctl.stop();
      for (const stop of stops) stop();
      sizes.disconnect();
      for (const [target, name, run] of listeners) target.removeEventListener(name, run);
      root.remove();
    },
  };
}

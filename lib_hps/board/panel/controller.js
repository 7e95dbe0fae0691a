/** One open session: its state on the server, the half-made ranking here, and everything that changes either. */
import { ApiError } from "./api.js";
import { loadRanking, saveRanking } from "./drafts.js";
import * as ranks from "./ranking.js";
import { movedOn } from "./words.js";

const POLL_MS = 250;
const POLL_HIDDEN_MS = 2000;
const RETRY_MS = [1000, 2000, 4000];

/**
 * @param {object} api from makeApi
 * @param {{changed: Function, toast: Function, announce: Function}} view what is told of changes
 */
export function makeController(api, view) {
  const me = {
    state: null,
    draft: ranks.empty(),
    mode: "hand",
    mixed: { draw: 32, scorer: null },
    busy: false,
    offline: false,
    isNew: false, // the open session was begun here
  };
  let past = []; // earlier half-made rankings of this round
  let tieNext = false;
  let timer = 0;
  let requests = 0;
  let failures = 0;

  function apply(state) {
    const before = me.state;
    const isSame = before && ranks.roundOf(before) === ranks.roundOf(state);
    me.state = state;
    if (before?.id !== state.id) me.mode = modeOf(state);
    if (!isSame) {
      past = [];
      tieNext = false;
      me.draft = loadRanking(state) ?? suggestion(state);
    } else if (ranks.isEmpty(me.draft) && !past.length && state.ranking && !before.ranking) {
      me.draft = suggestion(state);
    }
    if (before?.id === state.id && before.task && !state.task) said(state);
    schedule();
    view.changed();
  }

  /** What came of the task that just ended; an error stays on the page until something else is done. */
  function said(state) {
    if (state.error) view.announce(state.error);
    else if (state.note) view.toast(state.note);
    else view.announce(state.status === "ready" ? `Round ${state.round}: the pictures are there.` : "Done");
  }

  function schedule() {
    clearTimeout(timer);
    const isRunning = me.state?.task;
    if (!isRunning && !me.offline) return;
    const wait = me.offline
      ? RETRY_MS[Math.min(failures, RETRY_MS.length) - 1]
      : document.hidden
        ? POLL_HIDDEN_MS
        : POLL_MS;
    timer = setTimeout(poll, wait);
  }

  async function poll() {
    const { id, round } = me.state ?? {};
    const started = requests;
    if (!id) return;
    try {
      const state = await api.state(id);
      if (started !== requests || me.state?.id !== id) return;
      const wasOffline = me.offline;
      me.offline = false;
      failures = 0;
      const isLost =
        state.round !== round && !ranks.isEmpty(me.draft) && state.task !== "auto" && me.state.task !== "auto";
      apply(state);
      if (wasOffline) view.toast("The server is back.");
      if (isLost) view.toast(movedOn(state, round), { isError: true });
    } catch (error) {
      if (started !== requests || me.state?.id !== id) return;
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404) return gone(error);
      failures += 1;
      me.offline = true;
      schedule();
      view.changed();
    }
  }

  function gone(error) {
    close();
    view.toast(error.message, { isError: true });
  }

  /** Run one request at a time; its state is taken, its failure is said, and nothing that was ranked is touched. */
  async function run(work, { doing = "" } = {}) {
    if (me.busy) return null;
    me.busy = true;
    requests += 1;
    if (doing) view.announce(doing);
    view.changed();
    try {
      const state = await work();
      me.busy = false;
      me.offline = false;
      if (state) apply(state);
      return state;
    } catch (error) {
      me.busy = false;
      if (!(error instanceof ApiError)) throw error;
      await failed(error);
      return null;
    } finally {
      me.busy = false;
      view.changed();
    }
  }

  async function failed(error) {
    const { id, round } = me.state ?? {};
    if (error.status === 409 && id) {
      try {
        const state = await api.state(id);
        const isMoved = state.round !== round;
        apply(state);
        return view.toast(isMoved ? movedOn(state, round) : error.message, { isError: true });
      } catch {
        // the first error says more
      }
    }
    if (error.status === 404 && id) return gone(error);
    if (error.status === 0 && id) {
      me.offline = true; // the banner says so, and goes when the server is back
      failures = Math.max(failures, 1);
      return schedule();
    }
    schedule();
    return view.toast(error.message, { isError: true });
  }

  function close() {
    clearTimeout(timer);
    me.state = null;
    me.draft = ranks.empty();
    me.mode = "hand";
    me.offline = false;
    view.changed();
  }

  /** Draw what the present round still lacks, the way the mode asks for. */
  const drawing = (id) => (me.mode === "mixed" ? api.act(id, "mixed", mixedBody()) : api.act(id, "draw"));
  const mixedBody = () => (me.mixed.scorer ? me.mixed : { draw: me.mixed.draw });
  const act = (verb, body, doing) => run(() => api.act(me.state.id, verb, body), { doing });

  /** Take the state of a call, then draw the next round. */
  async function thenDraw(work, doing) {
    const state = await run(work, { doing });
    if (state?.status === "new" && !state.task) await run(() => drawing(state.id));
    return state;
  }

  const answer = () => ({
    round: me.state.round,
    version: me.state.version,
    ...(me.draft.none ? { none_better: true } : { order: me.draft.tiers }),
  });

  /** What the page may do now. */
  function can() {
    const { state, busy, draft } = me;
    const isIdle = Boolean(state) && !state.task && !busy;
    const drawn = (state?.candidates ?? []).filter((one) => one.picture).length;
    const isWhole = drawn > 0 && drawn === state.candidates.length;
    const isReady = isIdle && isWhole;
    const isRankable = drawn > 0 && (state.task === "draw" || (!state.task && isWhole));
    return {
      draw: isIdle && !isReady,
      next: isReady && !ranks.isEmpty(draft),
      rank: isRankable,
      compare: isRankable && drawn > 1,
      undo: past.length > 0 || (isIdle && (state?.history.length ?? 0) > 0),
      undoAnswer: !past.length,
      finish: isIdle && Boolean(state.best || (isReady && draft.tiers.length)),
      change: isIdle,
    };
  }

  function change(draft) {
    if (draft === me.draft) return;
    past.push(me.draft);
    set(draft);
    view.announce(draft.none ? "None is better" : `Your order: ${ranks.words(draft.tiers) || "empty"}`);
  }

  function set(draft) {
    me.draft = draft;
    tieNext = false;
    saveRanking(me.state, draft);
    view.changed();
  }

  return Object.assign(me, {
    can,
    change,
    close,
    tied: () => tieNext,
    async open(id) {
      me.isNew = false;
      const state = await run(() => api.state(id));
      if (!state) close();
      return state;
    },
    create(body) {
      me.isNew = true;
      return thenDraw(() => api.create(body), "Starting");
    },
    draw: () => run(() => drawing(me.state.id), { doing: "Drawing" }),
    pick(number, tied = false) {
      const card = me.state?.candidates.find((one) => one.number === number);
      if (!card?.picture || !can().rank) return;
      change(ranks.pick(me.draft, number, tied || tieNext));
    },
    none: () => can().rank && change(me.draft.none ? ranks.empty() : { tiers: [], none: true }),
    tie() {
      if (!me.draft.tiers.length) return view.toast("Pick one first; “=” then gives the next one the same place.");
      tieNext = !tieNext;
      return view.changed();
    },
    /** Forget what the second half of a double click did. */
    takeBackTo(draft) {
      past = past.slice(0, -1);
      set(draft);
    },
    async next() {
      if (can().draw) return me.draw();
      if (!can().next) return null;
      return thenDraw(() => api.act(me.state.id, "tell", answer()), "Your order is sent");
    },
    undo() {
      if (past.length) return set(past.pop());
      return can().undo ? act("undo", { version: me.state.version }, "The last answer is taken back") : null;
    },
    cancel: () => act("cancel", {}, "Cancelling"),
    auto: (body) => act("auto", body, "The automatic rounds begin"),
    startMixed: () => run(() => drawing(me.state.id)),
    branch: (round) => act("branch", { round }),
    settings: (body) =>
      thenDraw(
        () => api.act(me.state.id, "settings", { ...body, version: me.state.version }),
        "The settings are changed",
      ),
    rename: (name) => act("rename", { name }),
    async finish(body) {
      if (can().next && me.draft.tiers.length && !(await act("tell", answer()))) return null;
      return act("finish", body, "Drawing the larger picture");
    },
    /** Look once whether another tab went on. */
    refresh: () => me.state && !me.state.task && !me.busy && poll(),
    stop: () => clearTimeout(timer),
  });
}

const suggestion = (state) =>
  ranks.read(
    { tiers: state.ranking },
    state.candidates.map((one) => one.number),
  ) ?? ranks.empty();

/** How a session that is opened was ranked last. */
function modeOf(state) {
  if (state.task === "mixed" || state.ranking) return "mixed";
  return state.task === "auto" || (state.history.length && state.history.at(-1).by !== "person") ? "auto" : "hand";
}

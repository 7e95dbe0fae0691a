/** Who ranks: you, a scorer that shows you its best, or a scorer alone. */
import { button, duration, fill, h } from "./dom.js";
import { choice, field, numberBox } from "./forms.js";
import { makeCurve } from "./curve.js";
import { scorerName } from "./words.js";

const MODES = [
  ["hand", "I rank", "You rank every picture"],
  ["mixed", "Mixed", "A scorer draws many and shows you its best"],
  ["auto", "Automatic", "A scorer ranks, round after round"],
];

/** @returns {{tabs: HTMLElement, panel: HTMLElement, update: Function, offer: Function}} */
export function makeModes({ ctl, scorers, toast, changed }) {
  const buttons = new Map(MODES.map(([mode, label, title]) => [mode, h("button", { type: "button", class: "hps-tab", role: "radio", title, onclick: () => choose(mode) }, label)]));
  const tabs = h("div", { class: "hps-tabs", role: "radiogroup", "aria-label": "Who ranks" }, [...buttons.values()]);
  const panel = h("div", { class: "hps-mode", hidden: true });
  const forms = { mixed: null, auto: null };

  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const names = MODES.map(([mode]) => mode);
    choose(names[(names.indexOf(ctl.mode) + step + names.length) % names.length]);
    buttons.get(ctl.mode).focus();
    event.preventDefault();
    event.stopPropagation();
  });

  function choose(mode) {
    ctl.mode = mode;
    changed();
  }

  /** Build what depends on the scorers that are here. */
  function offer() {
    const all = scorers();
    const names = all.map((each) => ({ value: each.name, label: scorerName(each.name) + (each.available ? "" : " (not here)"), disabled: !each.available }));
    const here = all.filter((each) => each.available).map((each) => each.name);
    forms.auto = autoForm({ ctl, names, here, toast });
    forms.mixed = mixedForm({ ctl, names, here });
  }

  function update() {
    const { state, mode } = ctl;
    const isRunning = Boolean(state?.task);
    for (const [name, each] of buttons) {
      each.setAttribute("aria-checked", String(name === mode));
      each.tabIndex = name === mode ? 0 : -1;
      each.disabled = isRunning && name !== mode;
    }
    const form = forms[mode];
    panel.hidden = !form || !state || isRunning;
    if (form && panel.firstChild !== form) fill(panel, form);
    for (const each of panel.querySelectorAll("button[type=submit]")) each.disabled = !ctl.can().change;
  }

  return { tabs, panel, update, offer };
}

const none = (text) => h("p", { class: "hps-hint" }, text);
const NO_SCORER = "No scorer is here: put a classifier's weights into the scorers' folder, then reload this page.";

function autoForm({ ctl, names, here, toast }) {
  if (!here.length) return none(NO_SCORER);
  const scorer = choice(names, here[0]);
  const holdout = choice([{ value: "", label: "nobody" }, ...names], here.find((name) => name !== here[0]) ?? "");
  const rounds = numberBox(10, { min: 1, max: 1000 });
  const images = numberBox(null, { min: 2, max: 100000, isRequired: false, placeholder: "no limit" });
  const patience = numberBox(4, { min: 1, max: 1000, isRequired: false, placeholder: "never" });
  const whole = (box) => (box.value === "" ? null : Number(box.value));
  function begin(event) {
    event.preventDefault();
    if (holdout.value && holdout.value === scorer.value) return toast("The held-out scorer must be another one than the scorer that ranks.", { isError: true });
    return ctl.auto({ rounds: whole(rounds), scorer: scorer.value, holdout: holdout.value || null, images: whole(images), patience: whole(patience) });
  }
  return h(
    "form",
    { class: "hps-mode-form", onsubmit: begin },
    field("Ranked by", scorer),
    field("Checked by (held out)", holdout),
    field("Rounds", rounds),
    field("Pictures at most", images),
    field("Stop after rounds without gain", patience),
    h("button", { type: "submit", class: "hps-button hps-primary" }, "Run"),
  );
}

function mixedForm({ ctl, names, here }) {
  if (!here.length) return none(NO_SCORER);
  const draw = numberBox(ctl.mixed.draw, { min: 2, max: 512 });
  const scorer = choice(names, here[0]);
  ctl.mixed.scorer ??= here[0];
  function begin(event) {
    event.preventDefault();
    ctl.mixed = { draw: Number(draw.value), scorer: scorer.value };
    return ctl.startMixed();
  }
  return h("form", { class: "hps-mode-form", onsubmit: begin }, field("Draw", draw), field("Chosen and ranked first by", scorer), h("button", { type: "submit", class: "hps-button hps-primary" }, "Draw and choose"), h("p", { class: "hps-hint" }, "The scorer shows its best ones in its order. Change what you see differently."));
}

/** What runs in the background: words, bar, preview and Cancel; in automatic mode in place of the candidates. */
export function makeRun({ api, ctl }) {
  const words = h("span", { class: "hps-run-words" });
  const bar = h("div", { class: "hps-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", {}));
  const cancel = button("Cancel", () => ctl.cancel(), { class: "hps-small" });
  const strip = h("div", { class: "hps-running", hidden: true }, h("div", { class: "hps-row" }, words, cancel), bar);
  const image = h("img", { class: "hps-large", alt: "The best so far" });
  const chart = h("div", { class: "hps-run-chart" });
  const stage = h("div", { class: "hps-auto", hidden: true }, h("div", { class: "hps-auto-picture" }, image), chart);
  image.addEventListener("load", () => image.classList.toggle("hps-pixels", Math.max(image.naturalWidth, image.naturalHeight) <= 128));
  let charted = "";

  function update() {
    const { state } = ctl;
    const isRunning = Boolean(state?.task);
    strip.hidden = !isRunning;
    stage.hidden = !isShown();
    stage.classList.toggle("hps-alone", ctl.state?.task === "mixed");
    if (isRunning) progress(state);
    if (!stage.hidden) best(state);
  }

  /** The best so far in place of the candidates: while a scorer ranks, and after it until one draws or runs again. */
  const isShown = () => ["auto", "mixed"].includes(ctl.state?.task) || (ctl.mode === "auto" && ctl.can().draw && Boolean(ctl.state.best));

  function progress(state) {
    const done = Math.max(0, Math.min(1, state.progress?.done ?? 0));
    const eta = Number.isFinite(state.progress?.eta_s) && state.progress.eta_s > 0 ? ` · about ${duration(state.progress.eta_s)} left` : "";
    words.textContent = (state.progress?.text ?? "Working") + eta;
    bar.firstChild.style.setProperty("width", `${(done * 100).toFixed(1)}%`);
    bar.setAttribute("aria-valuenow", Math.round(done * 100));
    bar.setAttribute("aria-label", words.textContent);
    cancel.disabled = ctl.busy;
  }

  function best(state) {
    const source = api.picture(state.progress?.preview ?? state.best?.picture);
    image.hidden = !source;
    if (source && image.getAttribute("src") !== source) image.src = source;
    chart.hidden = state.task === "mixed";
    const key = JSON.stringify(state.history.map((each) => [each.score, each.holdout]));
    if (key !== charted) fill(chart, makeCurve(state.history, { width: 460, height: 220 }) ?? h("p", { class: "hps-hint" }, "The gain curve appears after two rounds."));
    charted = key;
  }

  return { strip, stage, update, isShown, text: () => words.textContent };
}

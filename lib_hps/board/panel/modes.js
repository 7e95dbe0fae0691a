/** Who ranks: you, a scorer that shows you its best, or a scorer alone. */
import { fill, h } from "./dom.js";
import { choice, field, numberBox } from "./forms.js";
import { scorerChoices, scorerPicker } from "./scorers.js";

const MODES = [
  ["hand", "I rank", "You rank every picture"],
  ["mixed", "Mixed", "A scorer draws many and shows you its best"],
  ["auto", "Automatic", "A scorer ranks, round after round"],
];

/** @returns {{tabs: HTMLElement, panel: HTMLElement, update: Function, offer: Function}} */
export function makeModes({ ctl, scorers, toast, changed }) {
  const buttons = new Map(
    MODES.map(([mode, label, title]) => [
      mode,
      h("button", { type: "button", class: "hps-tab", role: "radio", title, onclick: () => choose(mode) }, label),
    ]),
  );
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
    const isEmpty = !all.some((each) => each.available);
    forms.auto = isEmpty ? none(NO_SCORER) : autoForm({ ctl, all, toast });
    forms.mixed = isEmpty ? none(NO_SCORER) : mixedForm({ ctl, all });
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

function autoForm({ ctl, all, toast }) {
  const scorer = scorerPicker(all, "Ranked by");
  const other = all.find((each) => each.available && !scorer.members().includes(each.name));
  const holdout = choice([{ value: "", label: "nobody" }, ...scorerChoices(all)], other?.name ?? "");
  const rounds = numberBox(10, { min: 1, max: 1000 });
  const images = numberBox(null, { min: 2, max: 10000, isRequired: false, placeholder: "no limit" });
  const patience = numberBox(4, { min: 1, max: 1000, isRequired: false, placeholder: "never" });
  const whole = (box) => (box.value === "" ? null : Number(box.value));
  function begin(event) {
    event.preventDefault();
    if (scorer.members().includes(holdout.value))
      return toast("The held-out scorer must be another one than those that rank. Choose another one, or nobody.", {
        isError: true,
      });
    return ctl.auto({
      rounds: whole(rounds),
      scorer: scorer.read(),
      holdout: holdout.value || null,
      images: whole(images),
      patience: whole(patience),
    });
  }
  return h(
    "form",
    { class: "hps-mode-form", onsubmit: begin },
    scorer.nodes,
    field("Checked by (held out)", holdout),
    field("Rounds", rounds),
    field("Pictures at most", images),
    field("Stop after rounds without gain", patience),
    h("button", { type: "submit", class: "hps-button hps-primary" }, "Run"),
  );
}

function mixedForm({ ctl, all }) {
  const draw = numberBox(ctl.mixed.draw, { min: 2, max: 64 });
  const scorer = scorerPicker(all, "Chosen and ranked first by");
  ctl.mixed.scorer ??= scorer.read();
  function begin(event) {
    event.preventDefault();
    ctl.mixed = { draw: Number(draw.value), scorer: scorer.read() };
    return ctl.startMixed();
  }
  return h(
    "form",
    { class: "hps-mode-form", onsubmit: begin },
    field("Draw", draw),
    scorer.nodes,
    h("button", { type: "submit", class: "hps-button hps-primary" }, "Draw and choose"),
    h("p", { class: "hps-hint" }, "The scorer shows its best ones in its order. Change what you see differently."),
  );
}

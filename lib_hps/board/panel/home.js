/** Where everything begins: the prompt, one button, and the sessions that are there already. */
import { attempt } from "./api.js";
import { button, fill, focused, h } from "./dom.js";
import { loadPrompt, savePrompt } from "./drafts.js";
import { choice, field, numberBox, settingsFields } from "./forms.js";
import { makeSessions } from "./sessions.js";

/** @returns {{node: HTMLElement, update: Function, refresh: Function, offer: Function, start: Function, focus: Function}} */
export function makeHome({ api, ctl, toast, options, seed, hostPrompt = null }) {
  const prompt = h("textarea", {
    class: "hps-input hps-prompt",
    rows: 2,
    required: !hostPrompt,
    placeholder: "a red heart with a ribbon",
    "aria-label": "Prompt",
  });
  prompt.value = hostPrompt ? "" : (seed?.prompt ?? loadPrompt());
  prompt.hidden = Boolean(hostPrompt);
  const more = h("details", { class: "hps-more" }, h("summary", {}, "Settings"));
  const start = h("button", { type: "submit", class: "hps-button hps-primary hps-start" }, "Start");
  const note = h("p", { class: "hps-kept" });
  const count = h("div", {}); // beside the button where the host's form has everything else
  const list = makeSessions({ api, ctl, toast });
  let readMore = () => ({});

  prompt.addEventListener("input", () => savePrompt(prompt.value));
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  const form = h(
    "form",
    { class: "hps-new", onsubmit: begin },
    h("h1", {}, hostPrompt ? "Rank pictures of the prompt above" : "What would you like to see?"),
    hostPrompt
      ? steps()
      : h(
          "p",
          { class: "hps-lead" },
          "You get a few pictures. Say which ones you like best, press Next, and the pictures follow your taste.",
        ),
    h("div", { class: "hps-ask" }, hostPrompt ? count : prompt, start),
    more,
    note,
  );
  const node = h("div", { class: "hps-home" }, form, list.node);

  async function begin(event) {
    event.preventDefault();
    if (hostPrompt) prompt.value = hostPrompt();
    if (!prompt.value.trim()) return toast("Write a prompt first: what should the pictures show?", { isError: true });
    const { settings, ...rest } = readMore();
    await ctl.create({ ...rest, settings: { ...settings, prompt: prompt.value.trim() } });
    return null;
  }

  /** Build what depends on the server's options. */
  function offer() {
    const known = options();
    const defaults = known.defaults ?? {};
    if (!hostPrompt && !prompt.value && defaults.settings?.prompt) {
      prompt.value = defaults.settings.prompt; // an example: the first key replaces it
      if (focused(prompt) === prompt) prompt.select();
      else prompt.addEventListener("focus", () => prompt.select(), { once: true });
    }
    const fields = settingsFields({ ...defaults.settings, ...seed?.settings }, known);
    const batch = numberBox(defaults.batch ?? 6, {
      min: known.limits?.batch?.[0] ?? 2,
      max: known.limits?.batch?.[1] ?? 12,
    });
    const names = (known.optimizers ?? []).map((each) => each.name ?? each);
    const method = choice(names, defaults.optimizer?.name ?? defaults.optimizer);
    const first = numberBox(null, { min: 0, max: 4294967295, isRequired: false, placeholder: "random" });
    fill(
      more,
      more.querySelector("summary"),
      h(
        "div",
        { class: "hps-fields" },
        hostPrompt ? null : [field("Pictures a round", batch), fields.nodes].flat(),
        names.length > 1 ? field("Method", method) : null,
        field("Seed", first),
      ),
    );
    if (hostPrompt) fill(count, field("Pictures a round", batch));
    readMore = () => ({
      batch: Number(batch.value),
      ...(names.length > 1 ? { optimizer: method.value } : {}),
      ...(first.value === "" ? {} : { seed: Number(first.value) }),
      settings: { ...seed?.settings, ...fields.read() },
    });
    keptNote(known);
  }

  function keptNote(known) {
    if (known.keeps_choices === undefined) return fill(note);
    const text = known.keeps_choices
      ? "Your answers are kept on this machine as training data for your own classifier; nothing is sent anywhere."
      : "Your answers are not kept as training data.";
    const place =
      known.keeps_choices && known.choices_folder ? [" Folder: ", h("code", {}, known.choices_folder)] : null;
    const turn = button(
      known.keeps_choices ? "Switch off" : "Switch on",
      () =>
        attempt(toast, async () =>
          keptNote(Object.assign(known, await api.setOptions({ keeps_choices: !known.keeps_choices }))),
        ),
      { class: "hps-link" },
    );
    return fill(note, [text, place, " ", turn].flat().filter(Boolean));
  }

  /** Begin a session as the button does. */
  const startNow = () => form.requestSubmit();

  const update = () => {
    start.disabled = ctl.busy;
    start.textContent = ctl.busy ? "Starting…" : "Start";
  };
  return { node, update, refresh: list.refresh, offer, start: startNow, focus: () => prompt.focus({ preventScroll: true }) };
}

/** What to do, where the host's form stands above. */
function steps() {
  const lines = [
    ["Start", " draws the first pictures with the settings above."],
    ["Click", " them in the order you like them, or press 1 to 9."],
    ["Next", " draws the next round, nearer to what you chose."],
    ["Finish", " draws the best one larger and saves it."],
  ];
  return h("ol", { class: "hps-steps" }, lines.map(([what, does]) => h("li", {}, h("b", {}, what), does)));
}

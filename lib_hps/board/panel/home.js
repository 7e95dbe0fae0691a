/** Where everything begins: the prompt, one button, and the sessions that are there already. */
import { ago, button, fill, h, icon } from "./dom.js";
import { choice, field, numberBox, settingsFields } from "./forms.js";
import { ApiError } from "./api.js";
import { loadPrompt, savePrompt } from "./drafts.js";

/** @returns {{node: HTMLElement, update: Function, refresh: Function}} */
export function makeHome({ api, ctl, toast, options, seed }) {
  const prompt = h("textarea", { class: "hps-input hps-prompt", rows: 2, required: true, placeholder: "a red heart with a ribbon", "aria-label": "Prompt" });
  prompt.value = seed?.prompt ?? loadPrompt();
  const more = h("details", { class: "hps-more" }, h("summary", {}, "Settings"));
  const start = h("button", { type: "submit", class: "hps-button hps-primary hps-start" }, "Start");
  const note = h("p", { class: "hps-kept" });
  const list = h("div", { class: "hps-sessions", role: "list", "aria-label": "Sessions" });
  const picker = h("input", { type: "file", accept: ".zip,application/zip", hidden: true, onchange: importZip });
  const heading = h("div", { class: "hps-row hps-sessions-head" }, h("h2", {}, "Your sessions"), button("Import a session", () => picker.click(), { class: "hps-quiet hps-small" }), picker);
  let readMore = () => ({});
  let sessions = [];

  prompt.addEventListener("input", () => savePrompt(prompt.value));
  prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  const form = h(
    "form",
    { class: "hps-new", onsubmit: begin },
    h("h1", {}, "What would you like to see?"),
    h("p", { class: "hps-lead" }, "You get a few pictures. Say which ones you like best, press Next, and the pictures follow your taste."),
    h("div", { class: "hps-ask" }, prompt, start),
    more,
    note,
  );
  const node = h("div", { class: "hps-home" }, form, heading, list);

  async function begin(event) {
    event.preventDefault();
    if (!prompt.value.trim()) return toast("Write a prompt first: what should the pictures show?", { isError: true });
    const { settings, ...rest } = readMore();
    await ctl.create({ ...rest, settings: { ...settings, prompt: prompt.value.trim() } });
    return null;
  }

  /** Build what depends on the server's options. */
  function offer() {
    const known = options();
    const defaults = known.defaults ?? {};
    const fields = settingsFields({ ...defaults.settings, ...seed?.settings }, known);
    const batch = numberBox(defaults.batch ?? 6, { min: known.limits?.batch?.[0] ?? 2, max: known.limits?.batch?.[1] ?? 12 });
    const names = (known.optimizers ?? []).map((each) => each.name ?? each);
    const method = choice(names, defaults.optimizer?.name ?? defaults.optimizer);
    const first = numberBox(null, { min: 0, max: 4294967295, isRequired: false, placeholder: "random" });
    fill(more, more.querySelector("summary"), h("div", { class: "hps-fields" }, field("Pictures a round", batch), fields.nodes, names.length > 1 ? field("Method", method) : null, field("Seed", first)));
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
    const text = known.keeps_choices ? "Your answers are kept on this machine as training data for your own classifier; nothing is sent anywhere." : "Your answers are not kept as training data.";
    const place = known.keeps_choices && known.choices_folder ? [" Folder: ", h("code", {}, known.choices_folder)] : null;
    const turn = button(known.keeps_choices ? "Switch off" : "Switch on", () => attempt(async () => keptNote(Object.assign(known, await api.setOptions({ keeps_choices: !known.keeps_choices })))), { class: "hps-link" });
    return fill(note, [text, place, " ", turn].flat().filter(Boolean));
  }

  async function attempt(work) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return toast(error.message, { isError: true });
    }
  }

  const refresh = () => attempt(async () => {
    sessions = (await api.list()).sessions;
    show();
  });

  function show() {
    heading.querySelector("h2").hidden = !sessions.length;
    fill(list, sessions.map(card));
  }

  function card(each) {
    const source = api.picture(each.thumb);
    const blank = h("span", { class: "hps-hint" }, each.problem ?? "no picture yet");
    const rounds = `${each.rounds} round${each.rounds === 1 ? "" : "s"}`;
    const name = h("span", { class: "hps-session-name" }, each.name);
    const open = h("button", { type: "button", class: "hps-session-open", "aria-label": `Open ${each.name}`, disabled: Boolean(each.problem), onclick: () => ctl.open(each.id) }, source ? h("img", { alt: "", src: source, loading: "lazy" }) : blank);
    return h(
      "div",
      { class: "hps-session", role: "listitem" },
      open,
      h("div", { class: "hps-session-words" }, name, h("span", { class: "hps-muted" }, `${rounds} · ${ago(each.updated)}`)),
      h(
        "div",
        { class: "hps-session-tools" },
        button(icon("pen"), () => rename(each, name), { class: "hps-quiet hps-small", "aria-label": `Rename ${each.name}`, title: "Rename" }),
        h("a", { class: "hps-button hps-quiet hps-small", href: api.exportUrl(each.id), download: "", "aria-label": `Export ${each.name}`, title: "Export as a zip" }, icon("out")),
        button(icon("bin"), () => remove(each), { class: "hps-quiet hps-small", "aria-label": `Delete ${each.name}`, title: "Delete" }),
      ),
    );
  }

  function rename(each, label) {
    const input = h("input", { class: "hps-input", type: "text", value: each.name, maxlength: 200, "aria-label": "New name" });
    let isDone = false;
    const finish = (isSaved) => {
      if (isDone) return;
      isDone = true;
      const name = input.value.trim();
      if (!isSaved || !name || name === each.name) return show();
      attempt(async () => {
        await api.act(each.id, "rename", { name });
      }).then(refresh);
    };
    input.addEventListener("blur", () => finish(true));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") finish(true);
      if (event.key === "Escape") finish(false);
    });
    label.replaceChildren(input);
    input.select();
  }

  const remove = (each) =>
    attempt(async () => {
      await api.remove(each.id);
      await refresh();
      toast(`“${each.name}” is in the trash.`, { action: { label: "Undo", run: () => attempt(() => api.restore(each.id)).then(refresh) } });
    });

  async function importZip() {
    const file = picker.files[0];
    picker.value = "";
    if (file) await attempt(async () => ctl.open((await api.importZip(file)).id));
  }

  const update = () => {
    start.disabled = ctl.busy;
    start.textContent = ctl.busy ? "Starting…" : "Start";
  };
  return { node, update, refresh, offer, focus: () => prompt.focus({ preventScroll: true }) };
}

/** The sessions that are there: open, rename, export, delete and take back, import. */
import { attempt } from "./api.js";
import { ago, button, fill, h, icon } from "./dom.js";

/** @returns {{node: HTMLElement, refresh: Function}} */
export function makeSessions({ api, ctl, toast }) {
  const list = h("div", { class: "hps-sessions", role: "list", "aria-label": "Sessions" });
  const picker = h("input", { type: "file", accept: ".zip,application/zip", hidden: true, onchange: importZip });
  const importer = button("Import a session", () => picker.click(), { class: "hps-quiet hps-small" });
  const title = h("h2", {}, "Your sessions");
  const heading = h("div", { class: "hps-row hps-sessions-head" }, title, importer, picker);
  let sessions = [];

  const refresh = () =>
    attempt(toast, async () => {
      sessions = (await api.list()).sessions;
      show();
    });

  function show() {
    title.hidden = !sessions.length;
    fill(list, sessions.map(card));
  }

  function card(each) {
    const source = api.picture(each.thumb);
    const blank = h("span", { class: "hps-hint" }, each.problem ?? "no picture yet");
    const rounds = `${each.rounds} round${each.rounds === 1 ? "" : "s"}`;
    const name = h("span", { class: "hps-session-name" }, each.name);
    // the words open it too; the picture beside them is the button for keys and screen readers
    const openByWords = ({ target }) => !each.problem && target.tagName !== "INPUT" && ctl.open(each.id);
    const open = h(
      "button",
      {
        type: "button",
        class: "hps-session-open",
        "aria-label": `Open ${each.name}`,
        disabled: Boolean(each.problem),
        onclick: () => ctl.open(each.id),
      },
      source ? h("img", { alt: "", src: source, loading: "lazy" }) : blank,
    );
    return h(
      "div",
      { class: "hps-session", role: "listitem" },
      open,
      h(
        "div",
        { class: "hps-session-words", onclick: openByWords },
        name,
        h("span", { class: "hps-muted" }, `${rounds} · ${ago(each.updated)}`),
      ),
      h(
        "div",
        { class: "hps-session-tools" },
        button(icon("pen"), () => rename(each, name), {
          class: "hps-quiet hps-small",
          "aria-label": `Rename ${each.name}`,
          title: "Rename",
        }),
        h(
          "a",
          {
            class: "hps-button hps-quiet hps-small",
            href: api.exportUrl(each.id),
            download: "",
            "aria-label": `Export ${each.name}`,
            title: "Export as a zip",
          },
          icon("out"),
        ),
        button(icon("bin"), () => remove(each), {
          class: "hps-quiet hps-small",
          "aria-label": `Delete ${each.name}`,
          title: "Delete",
        }),
      ),
    );
  }

  function rename(each, label) {
    const input = h("input", {
      class: "hps-input",
      type: "text",
      value: each.name,
      maxlength: 200,
      "aria-label": "New name",
    });
    let isDone = false;
    const finish = (isSaved) => {
      if (isDone) return;
      isDone = true;
      const name = input.value.trim();
      if (!isSaved || !name || name === each.name) return show();
      attempt(toast, async () => {
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
    attempt(toast, async () => {
      await api.remove(each.id);
      await refresh();
      toast(`“${each.name}” is in the trash.`, {
        action: { label: "Undo", run: () => attempt(toast, () => api.restore(each.id)).then(refresh) },
      });
    });

  async function importZip() {
    const file = picker.files[0];
    picker.value = "";
    if (file) await attempt(toast, async () => ctl.open((await api.importZip(file)).id));
  }

  return { node: h("div", {}, heading, list), refresh };
}

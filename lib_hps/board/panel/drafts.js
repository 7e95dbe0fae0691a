/** What is typed and ranked but not sent yet, kept for a reload of this tab; gone when the tab closes. */
import { read, roundOf } from "./ranking.js";

const PROMPT_KEY = "hps-prompt";

function get(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null; // no storage here (a private window)
  }
}

function put(key, text) {
  try {
    sessionStorage.setItem(key, text);
  } catch {
    // no storage here, or it is full: it lives as long as the page
  }
}

const keyOf = (state) => `hps-draft:${roundOf(state)}`;

/** The half-made ranking of these candidates, or null. */
export function loadRanking(state) {
  try {
    return read(
      JSON.parse(get(keyOf(state))),
      state.candidates.map((one) => one.number),
    );
  } catch {
    return null; // not ours
  }
}

export const saveRanking = (state, ranking) => put(keyOf(state), JSON.stringify(ranking));

export const loadPrompt = () => get(PROMPT_KEY) ?? "";

export const savePrompt = (text) => put(PROMPT_KEY, text);

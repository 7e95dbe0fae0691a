/** The open session in the page's address, so that a reload, a bookmark and the Back button find it again. */

const MARK = "hps=";

/** The session that the address names, or null. */
export function addressed() {
  const found = location.hash
    .slice(1)
    .split("&")
    .find((part) => part.startsWith(MARK));
  return found ? decodeURIComponent(found.slice(MARK.length)) : null;
}

/** Name a session, or none, in the address; `replaces` leaves no step for the Back button. */
export function address(id, { replaces = false } = {}) {
  const url = id ? `#${MARK}${id}` : location.pathname + location.search;
  if (replaces) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
}

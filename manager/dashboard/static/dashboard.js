"use strict";
// Keeps the page up to date: the manager sends what has changed, and this puts it into the page, without moving the
// focus or closing what is open. Without this script, the page works and is reloaded by hand.

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const pauseButton = document.getElementById("pause");
const SILENT_MS = 40_000; // The manager says something every 15 s.
const MIN_RELOAD_MS = 4_000; // Such a page is read for this reader alone.

let source = null;
let paused = false;
let watch = 0;
let reloading = false;
let isOutdated = false;
let reloadedAt = 0;
let nextLook = 0;

function start() {
  localize(document);
  // On a phone, the menu is a line that scrolls.
  const here = document.querySelector("header [aria-current]");
  here?.closest("nav").scrollTo(here.offsetLeft - innerWidth / 2, 0);
  forgetNotice();
  skipSignIn();
  const url = document.body.dataset.stream;
  if (!url || !window.EventSource) return;
  pauseButton.hidden = false;
  pauseButton.addEventListener("click", () => {
    paused = !paused;
    pauseButton.setAttribute("aria-pressed", String(paused));
    follow(url);
  });
  // A hidden page needs no connection, of which browsers allow few.
  document.addEventListener("visibilitychange", () => follow(url));
  follow(url);
}

// Somebody who comes by a link of another site is taken for a stranger, because the session's cookie is for this site
// alone. A request of this page brings it.
async function skipSignIn() {
  const form = document.getElementById("key-form");
  if (!form) return;
  const page = form.action.replace(/\/dashboard\/sign-in$/, "") + form.elements.next.value;
  const response = await fetch(page, { headers: { Accept: "text/html" }, redirect: "manual" }).catch(() => null);
  if (response && response.ok && !form.elements.key.value) location.replace(page);
}

// A page that is loaded again has not done again what its address says.
function forgetNotice() {
  const url = new URL(location.href);
  url.searchParams.delete("done");
  url.searchParams.delete("n");
  history.replaceState(null, "", url);
}

function follow(url) {
  close();
  if (paused) return say("Paused");
  if (document.hidden) return;
  source = new EventSource(url);
  lookAgain();
  source.onopen = () => say("");
  source.addEventListener("part", (event) => heard(url, () => show(JSON.parse(event.data))));
  source.addEventListener("changed", () => heard(url, reload));
  source.addEventListener("ping", () => heard(url));
  source.addEventListener("ended", () => location.reload());
  source.onerror = () => {
    say("Connection lost. Trying again…");
    // After an answer other than 200, browsers do not try again by themselves.
    if (source && source.readyState === EventSource.CLOSED) retry(url, 2_000 + Math.random() * 1_000);
  };
  heard(url);
}

function heard(url, then) {
  retry(url, SILENT_MS);
  if (then) then();
}

function retry(url, ms) {
  clearTimeout(watch);
  watch = setTimeout(() => {
    say("Connection lost. Trying again…");
    follow(url);
  }, ms);
}

function close() {
  clearTimeout(watch);
  if (source) source.close();
  source = null;
}

function say(text) {
  if (connection.textContent === text) return;
  connection.textContent = text;
  connection.classList.toggle("lost", text.startsWith("Connection"));
}

async function reload() {
  // What changes while the page is being read may not be in it yet.
  isOutdated = true;
  if (reloading) return;
  reloading = true;
  while (isOutdated && source) {
    await new Promise((done) => setTimeout(done, Math.max(0, reloadedAt + MIN_RELOAD_MS - Date.now())));
    isOutdated = false;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      // The session has ended, or what the page shows is gone.
      if (source && (response.redirected || response.status === 404)) location.reload();
      else if (source && response.ok) {
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        show(page.getElementById("live").innerHTML);
      }
    } catch {
      // The stream says that the connection is lost.
    }
    reloadedAt = Date.now();
  }
  reloading = false;
  lookAgain();
}

// No event tells what a running job says of itself.
function lookAgain() {
  clearTimeout(nextLook);
  if (live.querySelector("[data-running]")) nextLook = setTimeout(() => source && reload(), MIN_RELOAD_MS);
}

function show(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localize(template.content);
  merge(live, template.content);
}

// Makes the children of one element like those of another, and leaves alone what is equal already. Elements with an id
// stay themselves, also where others before them come or go: a moved element would lose the focus.
function merge(old, next) {
  const byId = new Map([...old.children].filter((each) => each.id).map((each) => [each.id, each]));
  const kept = new Set([...next.children].map((each) => each.id));
  let place = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const present = wanted.id ? byId.get(wanted.id) : alike(place, wanted);
    if (!present) {
      old.insertBefore(wanted, place);
      continue;
    }
    while (place && place !== present && !(place.id && kept.has(place.id))) place = removed(place);
    if (present === place) place = place.nextSibling;
    else old.insertBefore(present, place);
    mergeNode(present, wanted);
  }
  while (place) place = removed(place);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// The next node that can become the wanted one: what stands before it is white space, or has gone.
function alike(place, wanted) {
  if (wanted.nodeType !== Node.ELEMENT_NODE) return place && place.nodeType === wanted.nodeType ? place : null;
  for (let each = place; each; each = each.nextSibling) {
    if (!each.id && each.nodeName === wanted.nodeName && each.className === wanted.className) return each;
  }
  return null;
}

function mergeNode(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    const isReaders = name === "open" && old.nodeName === "DETAILS";
    if (!next.hasAttribute(name) && !isReaders) old.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.nodeName !== "INPUT" && old.nodeName !== "SELECT") merge(old, next);
}

const numbers = new Intl.NumberFormat();
const fractions = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const amounts = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localize(root) {
  for (const element of root.querySelectorAll("data")) {
    const value = Number(element.getAttribute("value"));
    const format = element.dataset.digits ? amounts : Number.isInteger(value) ? numbers : fractions;
    element.textContent = format.format(value);
    if (!Number.isInteger(value)) element.title = String(value);
  }
  for (const element of root.querySelectorAll("time")) {
    const exact = element.getAttribute("datetime");
    element.textContent = times.format(new Date(exact));
    element.title = exact;
  }
}

start();

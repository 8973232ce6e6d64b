// The page of a case: an answer is sent at once, and the part of the page that it changes is replaced.
//
// One request is under way at a time, and what is chosen meanwhile goes with the next one, so the latest answer wins.
// What was not accepted stays on the page and is sent again. Without this script the forms are sent as forms.

const live = document.getElementById("live");
const announced = document.createElement("p");
announced.className = "hidden";
announced.setAttribute("aria-live", "polite");
live.before(announced);

const title = document.title.replace(/^Hypothetical: /, "");
const patience = 20_000;
let dirty = new Map(); // question -> the element in which it was answered and not sent yet
let typing = new Set(); // controls in which something stands that was not answered yet
let back = []; // questions that are taken back
let busy = false;
let repainting = false;
let waiting = null; // what is done once nothing is under way

live.addEventListener("input", (event) => typing.add(event.target));

live.addEventListener("change", (event) => {
  const question = event.target.closest("form[data-live] [data-question]");
  if (!question || repainting) return; // a control that is taken out of the page may say that it has changed
  if (unfinished(question)) {
    typing.add(event.target);
    return;
  }
  question.querySelectorAll("input, select").forEach((control) => typing.delete(control));
  dirty.set(question.dataset.question, question);
  send();
});

live.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("data-live")) {
    event.preventDefault();
    const button = event.submitter;
    if (button?.name === "take-back") {
      back.push(button.value);
      if (button.value === "*") dirty.clear();
      dirty.delete(button.value);
    } else {
      typing.forEach((control) => {
        const question = control.closest("[data-question]");
        if (question) dirty.set(question.dataset.question, question);
      });
      typing.clear();
    }
    send();
  } else if (busy || dirty.size) {
    event.preventDefault(); // first what was answered is sent, then the form as it is then
    const action = form.getAttribute("action");
    waiting = () => live.querySelector(`form[action="${CSS.escape(action)}"]`)?.requestSubmit();
    send();
  }
});

async function send() {
  if (busy || !(dirty.size || back.length)) return;
  busy = true;
  live.setAttribute("aria-busy", "true");
  const started = performance.now();
  const sent = dirty, taken = back;
  dirty = new Map();
  back = [];
  let accepted = false;
  try {
    const response = await fetch(live.querySelector("form[data-live]").action, {
      method: "POST", body: body(sent, taken), headers: { Accept: "text/html", "X-Part": "live" },
      signal: AbortSignal.timeout(patience),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(reason(text));
    accepted = response.headers.get("X-Applied") === "yes";
    if (!accepted) keep(sent, taken);
    told("");
    replace(text);
    performance.measure("answer", { start: started });
  } catch (error) {
    keep(sent, taken);
    waiting = null;
    const said = error instanceof TypeError || error.name === "TimeoutError" ? "the service does not answer" : error.message;
    told(`Your answer was not evaluated: ${said}. It still stands on this page.`);
  } finally {
    busy = false;
    live.removeAttribute("aria-busy");
  }
  if (!accepted) return;
  if (dirty.size || back.length) send();
  else if (waiting) {
    const next = waiting;
    waiting = null;
    next();
  }
}

// What was not accepted is sent with the next answer, unless it was answered again meanwhile.
function keep(sent, taken) {
  sent.forEach((element, question) => dirty.has(question) || dirty.set(question, here(element)));
  back = [...taken.filter((question) => !dirty.has(question)), ...back];
}

function body(questions, taken) {
  const fields = new URLSearchParams();
  const days = new Set();
  const put = (question, element) => {
    fields.append("asks", question);
    element.querySelectorAll("input, select").forEach((control) => {
      if (control.name && (control.checked || !["radio", "checkbox"].includes(control.type))) fields.append(control.name, control.value);
    });
  };
  questions.forEach((element, question) => {
    put(question, element);
    days.add(`${question.split(":")[0]}:date`);
  });
  days.forEach((name) => {
    const day = live.querySelector(`[data-question="${CSS.escape(name)}"]`);
    if (day && !questions.has(name)) put(name, day);
  });
  taken.forEach((question) => fields.append("take-back", question));
  return fields;
}

// What a page says that is no page of a case.
function reason(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  return page.querySelector(".message")?.textContent.trim() || "something went wrong";
}

function told(message) {
  document.getElementById("failure")?.remove();
  if (!message) return;
  const line = document.createElement("p");
  line.id = "failure";
  line.className = "message bad";
  line.setAttribute("role", "alert");
  const again = document.createElement("button");
  again.type = "button";
  again.className = "second";
  again.textContent = "Try again";
  again.addEventListener("click", () => send());
  line.append(`${message} `, again);
  live.before(line);
}

function replace(text) {
  const focused = live.contains(document.activeElement) ? document.activeElement : null;
  const top = focused?.getBoundingClientRect().top;
  const folds = new Map([...live.querySelectorAll("details")].map((fold) => [foldKey(fold), fold.open]));
  const kept = [...dirty.values(), ...typing].flatMap((held) => (held.matches("[data-question]") ? controls(held) : [held]));
  const days = [...live.querySelectorAll("[data-day]")];

  const page = new DOMParser().parseFromString(text, "text/html");
  repainting = true;
  live.replaceChildren(...page.body.childNodes);
  repainting = false;

  live.querySelectorAll("details").forEach((fold) => {
    const open = folds.get(foldKey(fold));
    if (open !== undefined && !fold.querySelector("[aria-invalid]")) fold.open = open;
    else if (fold.querySelector("[aria-invalid]")) fold.open = true;
  });
  typing = new Set([...typing].map((control) => here(control)));
  [...kept, ...days].forEach((control) => {
    const now = here(control);
    if (now === control) return;
    if (now.type === "radio" || now.type === "checkbox") now.checked = control.checked;
    else now.value = control.value;
  });
  dirty = new Map([...dirty].map(([question, element]) => [question, here(element)]));

  const now = focused && here(focused, true);
  if (now) {
    now.focus({ preventScroll: true });
    if (now.id === focused.id || now.matches("[data-question]")) {
      window.scrollBy({ top: now.getBoundingClientRect().top - top, behavior: "instant" });
    }
  } else if (focused) {
    (document.getElementById("changes") || document.getElementById("questions-title"))?.focus();
  }
  const changed = document.getElementById("changes");
  document.title = changed ? `Hypothetical: ${title}` : title;
  const said = live.querySelector("[role=alert]") || document.getElementById("told");
  announced.textContent = said ? said.textContent : "Nothing on this page is hypothetical.";
}

function controls(element) {
  return [...element.querySelectorAll("input, select")];
}

// Whether a muscle or another detail is chosen and the result itself is still to come.
function unfinished(question) {
  const filled = (control) => (["radio", "checkbox"].includes(control.type) ? control.checked : control.value);
  return [...question.querySelectorAll(".row")].some((row) => {
    const held = controls(row).filter((control) => filled(control) && !control.name.endsWith("~unit"));
    return held.length && !held.some((control) => control.closest("[data-result]"));
  });
}

// The same control, or question, in the page as it is now: where it was, else among all questions. `strictly`: null if
// it is gone, else itself.
function here(element, strictly = false) {
  if (element.isConnected) return element;
  const found = element.id && document.getElementById(element.id);
  if (found) return found;
  if (strictly) return null;
  const chosen = ["radio", "checkbox"].includes(element.type) ? `[value="${CSS.escape(element.value)}"]` : "";
  const sought = element.dataset.question ? `[data-question="${CSS.escape(element.dataset.question)}"]`
    : `[name="${CSS.escape(element.name)}"]${chosen}`;
  return live.querySelector(`#answers ${sought}`) || element;
}

function foldKey(fold) {
  const home = fold.parentElement.closest("[id]");
  return fold.id || `${home ? home.id : ""} ${fold.querySelector("summary")?.textContent}`;
}

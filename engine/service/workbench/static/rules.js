// The rule book: the list is searched while one types, and the graph can be moved. Without this, both work as they are.

const form = document.querySelector("form.search");
if (form) search(form);
const graph = document.querySelector(".graph");
if (graph) move(graph, document.querySelector(".zoom"));

function search(form) {
  const field = form.elements.q;
  const told = document.getElementById("found");
  const groups = [...document.querySelectorAll("[data-group]")];
  let words = null; // of each entry: what is said of it, by its label
  const loaded = () => (words ??= fetch(form.dataset.words).then((answer) => {
    if (!answer.ok) throw new Error("the rules have changed");
    return answer.json();
  }));

  async function find() {
    const asked = field.value;
    let said;
    try {
      said = await loaded();
    } catch {
      words = null;
      form.submit();
      return;
    }
    if (asked !== field.value) return; // somebody types faster than the words arrive
    const wanted = [...new Set(asked.toLowerCase().split(/\s+/).filter(Boolean))];
    let found = 0;
    for (const group of groups) {
      let some = false;
      for (const entry of group.querySelectorAll("[data-entry]")) {
        const inside = places(entry, said[entry.dataset.entry], wanted);
        entry.hidden = inside === null;
        show(entry, inside);
        if (inside !== null) { some = true; found += 1; }
      }
      group.hidden = !some;
      const folded = group.querySelector("details");
      if (folded) folded.open = wanted.length > 0;
    }
    told.textContent = wanted.length ? `${found} found` : "";
    const address = new URL(location.href);
    if (wanted.length) address.searchParams.set("q", asked.trim());
    else address.searchParams.delete("q");
    history.replaceState(null, "", address);
  }

  field.addEventListener("focus", loaded, { once: true });
  field.addEventListener("input", find);
  form.addEventListener("submit", (event) => { event.preventDefault(); find(); });
}

// The labels under which the words were found beside the title; null if one of them is nowhere.
function places(entry, said, wanted) {
  const head = (entry.querySelector("a").textContent + " " + entry.querySelector("code").textContent).toLowerCase();
  const inside = new Set();
  for (const word of wanted) {
    if (head.includes(word)) continue;
    const labels = Object.keys(said).filter((label) => said[label].includes(word));
    if (!labels.length) return null;
    labels.forEach((label) => inside.add(label));
  }
  return [...inside];
}

function show(entry, inside) {
  let note = entry.querySelector(".inside");
  if (!inside || !inside.length) {
    note?.remove();
    return;
  }
  if (!note) {
    note = document.createElement("span");
    note.className = "inside";
    entry.append(" ", note);
  }
  note.textContent = `found in ${inside.join(", ")}`;
}

// The viewBox alone changes: what of the picture is seen, and how large.
function move(graph, controls) {
  const svg = graph.querySelector("svg");
  const whole = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  graph.classList.add("moved");
  graph.style.height = `${Math.min(whole.height + 2, Math.max(innerHeight * 0.65, 240))}px`;
  controls.hidden = false;
  let seen = null;

  const size = () => ({ width: graph.clientWidth || 1, height: graph.clientHeight || 1 });
  function set(next) {
    seen = next;
    svg.setAttribute("viewBox", `${next.x} ${next.y} ${next.width} ${next.height}`);
  }
  function all() {
    const { width, height } = size();
    const scale = Math.max(whole.width / width, whole.height / height);
    set({ x: (whole.width - width * scale) / 2, y: (whole.height - height * scale) / 2, width: width * scale, height: height * scale });
  }
  function one() {
    const { width, height } = size();
    const box = svg.querySelector(".chosen rect")?.getBBox();
    const middle = box ? [box.x + box.width / 2, box.y + box.height / 2] : [width / 2, height / 2];
    set({ x: whole.width <= width ? (whole.width - width) / 2 : middle[0] - width / 2,
          y: whole.height <= height ? (whole.height - height) / 2 : middle[1] - height / 2, width, height });
  }
  function zoom(factor) {
    const width = Math.min(Math.max(seen.width * factor, 80), Math.max(whole.width, size().width) * 4);
    const scale = width / seen.width;
    set({ x: seen.x + (seen.width - width) / 2, y: seen.y + (seen.height - seen.height * scale) / 2, width, height: seen.height * scale });
  }
  const shift = (x, y) => set({ ...seen, x: seen.x + x * seen.width, y: seen.y + y * seen.height });

  const acts = {
    in: () => zoom(1 / 1.3), out: () => zoom(1.3), all, one,
    "+": () => zoom(1 / 1.3), "=": () => zoom(1 / 1.3), "-": () => zoom(1.3), 0: all,
    ArrowLeft: () => shift(-0.12, 0), ArrowRight: () => shift(0.12, 0),
    ArrowUp: () => shift(0, -0.12), ArrowDown: () => shift(0, 0.12),
  };
  controls.addEventListener("click", (event) => acts[event.target.closest("[data-zoom]")?.dataset.zoom]?.());
  graph.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
  graph.addEventListener("focusin", (event) => { // what has the focus is seen
    const box = event.target.querySelector?.("rect")?.getBBox();
    if (!box || event.target === graph) return;
    const outside = box.x < seen.x || box.y < seen.y || box.x + box.width > seen.x + seen.width || box.y + box.height > seen.y + seen.height;
    if (outside) set({ ...seen, x: box.x + box.width / 2 - seen.width / 2, y: box.y + box.height / 2 - seen.height / 2 });
  });

  let from = null;
  let dragged = false;
  graph.addEventListener("pointerdown", (event) => {
    if (event.button === 0) { from = { x: event.clientX, y: event.clientY, at: seen }; dragged = false; }
  });
  graph.addEventListener("pointermove", (event) => {
    if (!from || !(event.buttons & 1)) { from = null; return; }
    const scale = from.at.width / size().width;
    const [x, y] = [from.x - event.clientX, from.y - event.clientY];
    if (Math.abs(x) + Math.abs(y) > 4) dragged = true;
    if (dragged) set({ ...from.at, x: from.at.x + x * scale, y: from.at.y + y * scale });
  });
  graph.addEventListener("click", (event) => { if (dragged) event.preventDefault(); }, true);
  graph.addEventListener("dragstart", (event) => event.preventDefault());
  addEventListener("resize", () => (whole.width > size().width || whole.height > size().height ? one() : all()));

  one();
}

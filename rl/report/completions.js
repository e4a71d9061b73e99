/* The table of completions, and the pairs of the first and the last evaluation. All text goes in as text nodes. */

const PAGE = 50;
const FINISH = ["", "end token", "stop text", "length"];
const COLUMNS = [
  { name: "Step", key: (c) => c.step, number: true },
  { name: "Completion" },
  { name: "Reward", key: (c) => c.reward, number: true },
  { name: "Parts" },
  { name: "Advantage", key: (c) => c.advantage, number: true },
  { name: "Tokens", key: (c) => c.tokens, number: true },
];

let order = { column: 0, down: true };
let matching = [], shown = 0;

/* ---- text ---- */

/* Marks the template's tags, reflective words, and what was searched for. */
function textNodes(text, found) {
  const tags = "</?(?:think|answer)>", words = "\\b(?:" + REFLECTIVE.join("|") + ")\\b";
  const gap = "\\[\\d+ bytes left out here\\]";
  const out = [];
  const add = (piece, style) => {
    let at = 0;
    if (found) {
      for (const match of piece.matchAll(found)) {
        if (!match[0]) continue;
        out.push(element("span", { class: style }, piece.slice(at, match.index)), element("mark", {}, match[0]));
        at = match.index + match[0].length;
      }
    }
    out.push(style || at ? element("span", { class: style }, piece.slice(at)) : document.createTextNode(piece.slice(at)));
  };
  let at = 0;
  for (const match of text.matchAll(new RegExp(`${tags}|${words}|${gap}`, "gi"))) {
    add(text.slice(at, match.index), "");
    add(match[0], match[0][0] === "<" ? "tag" : match[0][0] === "[" ? "gap" : "aha");
    at = match.index + match[0].length;
  }
  add(text.slice(at), "");
  return out;
}

function textBlock(text, found) {
  return text ? element("div", { class: "text" }, ...textNodes(text, found))
    : element("div", { class: "text quiet" }, "(empty)");
}

/* Of an evaluation only the words of the first part are kept. */
function chipClass({ score, reason, verdict }) {
  if (score === null) return verdict ? "chip" : reason === "right" ? "chip good" : "chip bad";
  return score >= 1 ? "chip good" : score > 0 ? "chip some" : "chip bad";
}

function partScore(part) {
  return part.score === null ? part.verdict : formatNumber(part.score);
}

function partChips(completion) {
  return completion.parts.map((part) => element("span", { class: chipClass(part), title: part.reason },
    partScore(part) ? `${part.label} ${partScore(part)}` : part.reason));
}

/* ---- filters ---- */

/* The search field as a global regular expression, or null. A pattern that is not valid is taken as text. */
let brokenPattern = false; // by the last call

function searchPattern() {
  brokenPattern = false;
  const text = byId("search").value;
  if (!text) return null;
  const pattern = text.match(/^\/(.+)\/$/);
  if (pattern) {
    try {
      return new RegExp(pattern[1], "giu");
    } catch { brokenPattern = true; }
  }
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
}

function bound(id, otherwise) {
  const text = byId(id).value.trim(), number = Number(text);
  return text === "" || Number.isNaN(number) ? otherwise : number;
}

function selectMatching() {
  const pattern = searchPattern();
  const steps = [bound("step-min", -Infinity), bound("step-max", Infinity)];
  const rewards = [bound("reward-min", -Infinity), bound("reward-max", Infinity)];
  const source = byId("source").value, verdict = byId("verdict").value, finish = byId("finish").value;
  const within = (value, [min, max]) => value >= min && value <= max;
  const any = rewards[0] === -Infinity && rewards[1] === Infinity;
  return data.completions.filter((c) => c.source === source && within(c.step, steps)
    && (any || (c.reward !== null && within(c.reward, rewards)))
    && (!verdict || c.parts.some((part) => part.label + ": " + part.reason === verdict))
    && (!finish || FINISH[c.finish] === finish)
    && (!pattern || c.text.search(pattern) >= 0 || c.prompt.text.search(pattern) >= 0));
}

function sortMatching() {
  const { key } = COLUMNS[order.column], sign = order.down ? -1 : 1;
  matching.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
    return sign * (x - y) || a.index - b.index;
  });
}

/* ---- rows ---- */

function fullRow(completion, found) {
  const { prompt, parts } = completion;
  const cell = element("td", { class: "full", colspan: String(COLUMNS.length) });
  cell.append(element("h4", {}, "Prompt"), textBlock(prompt.text, found));
  cell.append(element("h4", {}, "Completion"), textBlock(completion.text, found));
  if (parts.length) {
    const table = element("table", {}, element("tr", {}, ...["part", "score", "verdict", "judged"].map((n) => element("th", {}, n))));
    for (const part of parts) {
      table.append(element("tr", {}, element("td", {}, part.label),
        element("td", {}, element("span", { class: chipClass(part) }, partScore(part))),
        element("td", {}, part.reason), element("td", {}, element("code", {}, part.extracted))));
    }
    cell.append(element("h4", {}, "Rewards"), table);
  }
  const facts = [`sample ${completion.sample}`, `reward ${formatNumber(completion.reward)}`];
  if (completion.advantage !== null) facts.push(`advantage ${formatNumber(completion.advantage)}`);
  facts.push(`${completion.tokens} tokens`);
  if (FINISH[completion.finish]) facts.push(`ended by ${FINISH[completion.finish]}`);
  if (completion.dropped) facts.push("no reward judged it");
  if (prompt.fields && prompt.fields !== "{}") facts.push(prompt.fields);
  cell.append(element("h4", {}, "Facts"), element("span", { class: "quiet" }, facts.join(" · ")));
  return element("tr", {}, cell);
}

const oneLine = (text) => text.slice(0, 400).replace(/\s+/g, " ").trim();

function completionRow(completion, found) {
  const open = element("button", { type: "button", "aria-expanded": "false" },
    element("div", { class: "prompt" }, oneLine(completion.prompt.text)),
    element("div", {}, oneLine(completion.text) || "(empty)"));
  const advantage = completion.advantage === null ? "" : formatNumber(completion.advantage);
  const row = element("tr", { class: "row" }, element("td", { class: "number" }, String(completion.step)),
    element("td", { class: "preview" }, open),
    element("td", { class: "number" }, formatNumber(completion.reward)),
    element("td", {}, ...partChips(completion), ...(completion.dropped ? [element("span", { class: "chip" }, "unjudged")] : [])),
    element("td", { class: "number" }, advantage),
    element("td", { class: "number" }, String(completion.tokens)));
  let full = null;
  row.addEventListener("click", () => {
    if (full) full.remove();
    full = full ? null : fullRow(completion, found);
    if (full) row.after(full);
    open.setAttribute("aria-expanded", String(!!full));
  });
  return row;
}

function showMore() {
  const found = searchPattern(), until = Math.min(shown + PAGE, matching.length);
  for (; shown < until; shown++) byId("rows").append(completionRow(matching[shown], found));
  const left = matching.length - shown;
  byId("more").hidden = left === 0;
  byId("more").textContent = `Show ${Math.min(PAGE, left)} more of ${left.toLocaleString("en")}`;
}

function showMatching() {
  matching = selectMatching();
  sortMatching();
  shown = 0;
  byId("rows").replaceChildren();
  const judged = matching.filter((c) => c.reward !== null);
  const mean = judged.reduce((sum, c) => sum + c.reward, 0) / judged.length;
  const broken = brokenPattern ? " (not a regular expression: searched for as text)" : "";
  byId("matches").textContent = (matching.length === 0 ? "0 match"
    : `${matching.length.toLocaleString("en")} match, mean reward ${formatNumber(mean)}`) + broken;
  if (matching.length === 0) {
    byId("rows").append(element("tr", {}, element("td", { class: "nothing", colspan: String(COLUMNS.length) },
      "No completion here matches.")));
  }
  showMore();
}

/* ---- setting up ---- */

function setColumns() {
  const heads = COLUMNS.map((column, i) => {
    const head = element("th", { class: column.number ? "number" : "", scope: "col" });
    if (!column.key) {
      head.append(element("span", {}, column.name));
      return head;
    }
    const button = element("button", { type: "button" }, column.name);
    button.addEventListener("click", () => {
      order = { column: i, down: order.column === i ? !order.down : true };
      markOrder();
      showMatching();
    });
    head.append(button);
    return head;
  });
  const markOrder = () => heads.forEach((head, i) => {
    const button = head.querySelector("button"), active = i === order.column;
    if (active) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
    if (button) button.textContent = COLUMNS[i].name + (active ? (order.down ? " ↓" : " ↑") : "");
  });
  byId("columns").replaceChildren(...heads);
  markOrder();
}

function setOptions() {
  const count = (values) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  };
  const fill = (id, rows) => byId(id).replaceChildren(...rows.map(([value, label]) => element("option", { value }, label)));
  const verdicts = count(data.completions.flatMap((c) => c.parts.map((part) => part.label + ": " + part.reason)));
  const sources = count(data.completions.map((c) => c.source));
  sources.sort((a, b) => (a[0] === "held-out") - (b[0] === "held-out"));
  fill("source", sources.map(([name, n]) => [name, `${name} (${n.toLocaleString("en")})`]));
  fill("verdict", [["", "any"], ...verdicts.slice(0, 60).map(([name, n]) => [name, `${name} (${n.toLocaleString("en")})`])]);
  fill("finish", [["", "any"], ...count(data.completions.map((c) => FINISH[c.finish]).filter(Boolean)).map(([n]) => [n, n])]);
}

function showCompletions() {
  if (data.completions.length === 0) return;
  byId("completions").hidden = byId("link-completions").hidden = false;
  const { total, embedded, cut } = data.completions_of_run;
  const left = total - embedded;
  byId("embedded").textContent = (left > 0
    ? `${embedded.toLocaleString("en")} of the run's ${total.toLocaleString("en")} are in this file: the first and the last `
      + `step's, and groups taken evenly between. ${left.toLocaleString("en")} are left out; run.db has all.`
    : `All ${total.toLocaleString("en")} of the run are in this file.`)
    + (cut ? ` ${cut.toLocaleString("en")} long texts are shortened in the middle.` : "");
  setColumns();
  setOptions();
  let timer = 0;
  byId("filters").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(showMatching, 120);
  });
  byId("filters").addEventListener("reset", () => setTimeout(showMatching));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("more").addEventListener("click", showMore);
  showMatching();
}

/* ---- before and after ---- */

function showPairs() {
  const held = data.completions.filter((c) => c.source === "held-out" && c.sample === 0);
  const steps = [...new Set(held.map((c) => c.step))].sort((a, b) => a - b);
  if (steps.length < 2) return;
  const at = (step) => new Map(held.filter((c) => c.step === step).map((c) => [c.prompt.number, c]));
  const first = at(steps[0]), last = at(steps[steps.length - 1]);
  const both = [...first.keys()].filter((n) => last.has(n)
    && first.get(n).prompt.text === last.get(n).prompt.text).sort((a, b) => a - b);
  if (both.length === 0) return;
  byId("before-after").hidden = byId("link-pair").hidden = false;
  let i = 0;
  const side = (completion) => element("div", { class: "side" },
    element("div", { class: "top" }, element("strong", {}, `Step ${completion.step}`),
      ...completion.parts.map((part) => element("span", { class: chipClass(part) }, part.reason)),
      element("span", { class: "quiet" }, `reward ${formatNumber(completion.reward)}, ${completion.tokens} tokens`)),
    textBlock(completion.text, null));
  const draw = () => {
    const a = first.get(both[i]), b = last.get(both[i]);
    byId("pair-text").textContent = `The same held-out prompt at the first and the last evaluation: `
      + `${i + 1} of ${both.length}, in the order of the data, first sample of each.`;
    byId("pair").replaceChildren(element("div", { class: "question" }, textBlock(a.prompt.text, null)),
      element("div", { class: "pair" }, side(a), side(b)));
  };
  byId("pair-next").addEventListener("click", () => { i = (i + 1) % both.length; draw(); });
  byId("pair-previous").addEventListener("click", () => { i = (i + both.length - 1) % both.length; draw(); });
  draw();
}

/* The page: reads the data that the program wrote, and fills everything in. */

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/* ---- data: rows of numbers to objects with names (rl/report_data.c writes them) ---- */

function readTable(table) {
  return { steps: table.steps, steps_per_point: table.steps_per_point, series: new Map(table.series) };
}

function readCompletions(raw) {
  const read = (source) => ([prompt, step, sample, tokens, finish, reward, advantage, dropped, text, parts], index) => ({
    source, index, step, sample, tokens, finish, reward, advantage, dropped, text,
    prompt: { text: raw.prompts[prompt][0], fields: raw.prompts[prompt][1], number: raw.prompts[prompt][2] },
    parts: parts.map(([label, verdict, score, reason, extracted]) =>
      ({ label: raw.labels[label] ?? "", verdict, score, reason, extracted })),
  });
  return [...raw.completions.map(read("training")), ...raw.heldout.map(read("held-out"))];
}

const raw = JSON.parse(byId("data").textContent);
const data = { ...raw, metrics: readTable(raw.metrics), evals: readTable(raw.evals), completions: readCompletions(raw) };

/* ---- summary ---- */

function tile(name, value, note, kind) {
  byId("tiles").append(element("div", { class: kind ? "tile " + kind : "tile" }, element("div", { class: "name" }, name),
    element("div", { class: "value" }, ...value), element("div", { class: "note" }, note)));
}

function formatTime(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}

function firstOf(values) {
  return values?.find((value) => value !== null);
}

function accuracyTile() {
  const accuracy = data.evals.series.get("eval/pass@1");
  if (!accuracy) return;
  const half = lastOf(data.evals.series.get("eval/pass@1_ci95") ?? []);
  const note = accuracy.length > 1 ? `from ${(100 * firstOf(accuracy)).toFixed(1)} % at step ${data.evals.steps[0]}` : "pass@1";
  tile("Held-out accuracy", [(100 * lastOf(accuracy)).toFixed(1) + " %",
    element("small", {}, half ? ` ± ${(100 * half).toFixed(1)}` : "")], note);
}

function curveTile(name, metric, format) {
  const values = data.metrics.series.get(metric);
  if (!values || lastOf(values) === undefined) return;
  tile(name, [format(lastOf(values))], `from ${format(firstOf(values))}`);
}

function showTiles() {
  const { totals } = data;
  accuracyTile();
  curveTile("Reward", "reward", (v) => v.toFixed(3));
  if (!data.metrics.series.has("reward")) curveTile("Loss", "loss", formatNumber);
  curveTile("Completion length", "completions/mean_length", (v) => v.toFixed(1));
  curveTile("Reflective words", "aha/all", (v) => v.toFixed(2));
  const of = data.max_steps ? `of ${data.max_steps.toLocaleString("en")}` : "";
  tile("Steps", [data.steps.toLocaleString("en"), element("small", {}, of ? " " + of : "")],
    data.metrics.series.has("num_tokens") ? `${formatNumber(lastOf(data.metrics.series.get("num_tokens")))} tokens trained on` : "");
  tile("Time", [formatTime(totals.step_time)], data.steps ? `${formatNumber(totals.step_time / data.steps)} s per step` : "");
  if (totals.bits_compared > 0) {
    tile("Log-probs that differ", [totals.bits_different.toLocaleString("en")],
      `of ${totals.bits_compared.toLocaleString("en")} compared: one micro-batch per rollout`, totals.bits_different ? "bad" : "good");
  }
}

/* ---- recipe ---- */

function showYaml(id, text) {
  for (const line of text.split("\n")) {
    const key = line.match(/^([\w.]+)(:.*)$/);
    if (line.startsWith("#")) byId(id).append(element("span", { class: "comment" }, line), "\n");
    else if (key) byId(id).append(element("span", { class: "key" }, key[1]), key[2], "\n");
    else byId(id).append(line, "\n");
  }
}

function showRecipe() {
  byId("command").textContent = data.command;
  showYaml("changes", data.changes.trim());
  showYaml("effective", data.recipe.trim());
  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(data.command);
      byId("copy").textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(byId("command"));
      byId("copy").textContent = "Press Ctrl-C";
    }
  });
  if (data.events.length) {
    byId("events").append(element("h3", {}, "Events"), element("table", {},
      ...data.events.map(([step, kind, text]) => element("tr", {}, element("td", { class: "number" }, `step ${step}`),
        element("td", {}, kind), element("td", {}, text)))));
  }
}

/* ---- light and dark ---- */

function setTheme() {
  const dark = () => matchMedia("(prefers-color-scheme: dark)");
  const saved = (() => { try { return localStorage.getItem("strop-theme"); } catch { return null; } })();
  if (saved) document.documentElement.dataset.theme = saved;
  byId("theme").addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? (dark().matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("strop-theme", next); } catch { /* for this time only */ }
    redrawCharts();
  });
  dark().addEventListener("change", redrawCharts);
}

function showPage() {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  byId("title").textContent = data.title;
  byId("subtitle").textContent = data.subtitle;
  byId("footer").textContent = `Written ${data.written} UTC by strop report from ${data.folder}/run.db. `
    + "Charts: Chart.js, MIT licence.";
  setTheme();
  showTiles();
  showCharts();
  showPairs();
  showCompletions();
  showRecipe();
}

showPage();

"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  // Colours that differ for most kinds of sight (Okabe and Ito), and dashes and marks beside them.
  const COLOURS = {
    light: ["#0b5cad", "#b34700", "#00795a", "#8d3f78", "#6b5c00", "#2b7fa6", "#a3253a", "#4a4d52"],
    dark: ["#7db8f2", "#f2a35e", "#4fc9a1", "#dd9ac8", "#dcc64a", "#7fd0ee", "#f28b9a", "#b9bdc4"],
  };
  const DASHES = ["solid", "dash", "dashdot", "longdash", "longdashdot", "5px,2px"];
  const MARKS = ["circle", "square", "diamond", "triangle-up", "x", "star", "pentagon", "cross"];
  const STATES = ["served", "starved", "refused", "reset", "timed_out"];
  const SHAPES = ["", "/", "x", ".", "-"];
  const LINE_HEIGHT = 30, LANE_HEIGHT = 18, FRAME = 84, TALL = 380;

  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  function dressed(trace) {
    const palette = COLOURS[isDark() ? "dark" : "light"];
    const number = Math.max(0, page.models.indexOf(trace.model));
    const ink = palette[number % palette.length];
    const styled = { ...trace };
    if (trace.state) {
      const at = STATES.indexOf(trace.state);
      const fill = at === 0 ? palette[0] : palette[[0, 7, 1, 6, 3][at]];
      const pattern = { shape: SHAPES[at], bgcolor: fill, fgcolor: colour("ground"), size: 7 };
      styled.marker = { color: fill, pattern: at ? pattern : { shape: "" } };
    } else if (trace.lane) {
      const faint = trace.lane === "no reply yet";
      styled.marker = {
        color: faint ? colour("raised") : palette[trace.lane === "waiting" ? 0 : 1],
        pattern: { shape: faint ? "/" : "", bgcolor: colour("raised"), fgcolor: colour("line"), size: 9 },
        line: { width: 0.5, color: colour("ground") },
      };
      styled.hovertemplate = "%{base:.3f} ms, for %{x:.3f} ms<extra></extra>";
    } else if (trace.languages) {
      const fills = { all: colour("raised"), Python: palette[0], C: palette[1] };
      const line = { width: 1, color: colour("ground") };
      styled.marker = { colors: trace.languages.map((each) => fills[each]), line };
      styled.textinfo = "label";
      styled.leaf = { opacity: 1 };
      styled.pathbar = { visible: false };
      styled.tiling = { orientation: "v", pad: 0 };
      styled.hovertemplate = "%{label}<br>%{customdata}<extra></extra>";
    } else if (trace.type === "bar") {
      styled.marker = { color: ink };
      if (trace.error_x) styled.error_x = { ...trace.error_x, color: colour("text"), thickness: 1.5, width: 5 };
    } else {
      styled.line = { color: trace.model ? ink : colour("soft"), width: 2, dash: trace.raw ? "dot" : DASHES[number % DASHES.length] };
      styled.marker = { color: ink, size: 9, symbol: MARKS[number % MARKS.length] };
    }
    return styled;
  }

  function axis(given) {
    return {
      gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("soft"),
      automargin: true, ...given,
    };
  }

  function laidOut(figure, width) {
    const { lines, xaxis, yaxis, ...rest } = figure.layout;
    if (figure.traces[0].languages) rest.uniformtext = { minsize: 9, mode: "hide" };
    const narrow = width < 480;
    return {
      ...rest,
      xaxis: axis({ ...xaxis, ...(narrow && xaxis?.type !== "log" ? { nticks: 4 } : {}) }),
      yaxis: axis(yaxis || {}),
      height: lines ? FRAME + lines * (rest.barmode === "overlay" ? LANE_HEIGHT : LINE_HEIGHT) : TALL,
      margin: { l: 12, r: 16, t: 28, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("text"), family: "system-ui, sans-serif", size: narrow ? 11 : 13 },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
      bargap: 0.25,
      hoverlabel: { bgcolor: colour("raised"), font: { color: colour("text") } },
      dragmode: narrow ? false : "zoom",
    };
  }

  const drawn = new Set();
  function draw(place) {
    const figure = page.figures[place.id];
    drawn.add(place);
    return window.Plotly.react(
      place, figure.traces.map(dressed), laidOut(figure, place.clientWidth),
      { displayModeBar: false, responsive: true, showTips: false },
    );
  }
  const places = [...document.querySelectorAll(".plot")];
  const near = new IntersectionObserver((seen) => {
    for (const each of seen) if (each.isIntersecting && !drawn.has(each.target)) draw(each.target);
  }, { rootMargin: "600px" });
  places.forEach((place) => near.observe(place));
  const seen = (place) => place.clientWidth > 0; // and not in details that are closed
  window.addEventListener("beforeprint", () => places.forEach((place) => drawn.has(place) || !seen(place) || draw(place)));

  // Where a link leads is opened.
  function open() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const around = target && target.closest("details");
    if (around) { around.open = true; target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", open);
  open();

  // The theme: as the system has it, or as one chooses.
  const THEMES = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  const redraw = () => drawn.forEach(draw);
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || "system") + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme; else root.dataset.theme = next;
    button.textContent = `Theme: ${next}`;
    redraw();
  });
  dark.addEventListener("change", redraw);

  // The table of cells: sorted by a column, and filtered.
  const table = document.getElementById("cells");
  if (!table) return;
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending";
    heads.forEach((each) => each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.cells[column].dataset.key;
    const numbers = rows.every((row) => key(row) === "" || !Number.isNaN(Number(key(row))));
    const value = numbers ? (row) => (key(row) === "" ? -Infinity : Number(key(row))) : key;
    const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
    table.tBodies[0].append(...rows.sort((a, b) => (up ? order(a, b) : order(b, a))));
  }));
  const find = document.getElementById("find");
  const load = document.getElementById("load");
  const verdict = document.getElementById("verdict");
  const group = document.getElementById("group"); // where there are several
  const found = document.getElementById("found");
  function filter() {
    const words = find.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = row.textContent.toLowerCase().includes(words)
        && (!load.value || row.dataset.load === load.value)
        && (!group || !group.value || row.dataset.group === group.value)
        && (!verdict.value || row.dataset.verdict === verdict.value);
      row.hidden = !fits;
      shown += fits;
    }
    found.textContent = `${shown} of ${rows.length} cells`;
  }
  [find, load, verdict, group].forEach((each) => each?.addEventListener("input", filter));
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();

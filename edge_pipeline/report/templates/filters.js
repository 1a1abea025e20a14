// Filters of the report: hide every element whose data attributes do not fit the chosen values.
"use strict";
(() => {
  const form = document.getElementById("filters");
  const facets = [...new Set([...form.querySelectorAll("input")].map((box) => box.name))];
  const marked = [...document.querySelectorAll("main [data-device], main [data-network]")];
  const holders = [...document.querySelectorAll("main [data-holder]")].reverse();
  const rows = [...document.querySelectorAll("[data-row]")].map((row) => row.dataset);

  function chosen() {
    const values = {};
    for (const facet of facets) {
      const boxes = form.querySelectorAll(`input[name="${facet}"]:checked`);
      if (boxes.length) values[facet] = new Set([...boxes].map((box) => box.value));
    }
    return values;
  }

  function apply() {
    const values = chosen();
    // An element without an attribute is not about that property, and fits any value.
    const fits = (data) =>
      Object.keys(values).every((facet) => !(facet in data) || values[facet].has(data[facet]));
    for (const element of marked) element.toggleAttribute("hidden", !fits(element.dataset));
    // The inner holders come first: one without any visible content is hidden, too.
    for (const holder of holders) {
      const inside = [...holder.querySelectorAll("[data-device], [data-network]")];
      const shown = inside.some((one) => !one.closest("[hidden]") || one.closest("[hidden]").contains(holder));
      holder.toggleAttribute("hidden", inside.length > 0 && !shown);
    }
    const count = rows.filter(fits).length;
    const all = count === rows.length;
    document.getElementById("shown").textContent =
      all ? `All ${rows.length} measurements` : `${count} of ${rows.length} measurements`;
    document.getElementById("all").hidden = !Object.keys(values).length;
  }

  form.addEventListener("change", apply);
  document.getElementById("all").addEventListener("click", () => {
    for (const box of form.querySelectorAll("input")) box.checked = false;
    apply();
  });
  form.hidden = false;
  apply();
})();

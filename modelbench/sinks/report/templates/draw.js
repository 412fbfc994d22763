await imported("vega");
for (const name of {{ charts | map(attribute="name") | list | tojson }}) {
  const place = document.getElementById("chart-" + name);
  place.replaceChildren();
  const actions = { export: true, source: false, compiled: false, editor: false };
  await window.vegaEmbed(place, JSON.parse(show("spec-" + name)), { renderer: "svg", actions });
  place.querySelector("summary").setAttribute("aria-label", "save this chart");
}

const show = (text) => document.getElementById(text).textContent;
async function unpacked(name) {
  const bytes = Uint8Array.from(atob(show(name)), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
async function imported(name) {
  const blob = new Blob([await unpacked(name)], { type: "text/javascript" });
  return import(URL.createObjectURL(blob));
}

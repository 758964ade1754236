// @ts-check
// Appended to `sources` (file name -> text, lowest first) and `entry` by packing.py. Every file
// becomes a module of its own; only the addresses of its imports are filled in.
/** @type {Record<string, string>} */
const addresses = {};
for (const [name, text] of Object.entries(sources)) {
  const linked = text.replace(/from "\.\/(\w+\.js)"/g, (_, file) => `from "${addresses[file]}"`);
  const named = `${linked}\n//# sourceURL=rcae-lite/${name}`;
  addresses[name] = URL.createObjectURL(new Blob([named], { type: "text/javascript" }));
}
const widget = await import(addresses[entry]);
export default { render: widget.render };

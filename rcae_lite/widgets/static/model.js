// @ts-check
/** What ipywidgets' model offers, without a kernel behind it: the page's widgets get one. */
export class LocalModel {
  /** @param {Record<string, any>} values */
  constructor(values) {
    this.values = values;
    /** @type {Record<string, (() => void)[]>} */
    this.listeners = {};
  }
  /** @param {string} name */
  get(name) {
    return this.values[name];
  }
  /** @param {string} name @param {any} value */
  set(name, value) {
    this.values[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  /** @param {string} event @param {() => void} listener */
  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }
  off() {}
  save_changes() {}
  /** @param {any[]} _ */
  send(..._) {}
}

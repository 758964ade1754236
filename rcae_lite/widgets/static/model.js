/** What ipywidgets' model offers, without a kernel behind it: the page's widgets get one. */
export class LocalModel {
  constructor(values) {
    this.values = values;
    this.listeners = {};
  }
  get(name) {
    return this.values[name];
  }
  set(name, value) {
    this.values[name] = value;
    for (const listener of this.listeners[`change:${name}`] ?? []) listener();
  }
  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }
  off() {}
  save_changes() {}
  send() {}
}

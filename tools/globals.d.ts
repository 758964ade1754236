// What stands before a script when it runs: see packing.py (loader.js) and paint.py (worker.js).
declare const sources: Record<string, string>;
declare const entry: string;
declare const ort: any;

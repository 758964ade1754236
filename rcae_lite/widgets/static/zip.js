// @ts-check
// A zip file without compression: pictures are compressed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
function checksum(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 255];
  return ~value >>> 0;
}

/** Numbers of two or four bytes, lowest first. @param {[number, 2 | 4][]} fields */
function header(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of fields) {
    for (let i = 0; i < size; i += 1) bytes[at + i] = value >>> (8 * i);
    at += size;
  }
  return bytes;
}

/**
 * @param {Record<string, Uint8Array<ArrayBuffer>>} files contents by path
 * @returns {Blob}
 */
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [path, content] of Object.entries(files)) {
    const name = new TextEncoder().encode(path);
    /** @type {[number, 2 | 4][]} */
    const common = [
      [20, 2], [0x0800, 2], [0, 2], [0, 2], [0x21, 2], // version, names in UTF-8, stored, 1 January 1980
      [checksum(content), 4], [content.length, 4], [content.length, 4], [name.length, 2], [0, 2],
    ];
    const local = header([[0x04034b50, 4], ...common]);
    parts.push(local, name, content);
    directory.push(header([[0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]]), name);
    offset += local.length + name.length + content.length;
  }
  const count = Object.keys(files).length;
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = header([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

// What the page makes of an identifier that a person types: the digests of each form in which devices send it. The identifier itself stays here.
//
// It owns the shapes and canonical forms of each kind, the same as the program's own (`event::identifier`; a test holds both against each other),
// and the three hash functions, because browsers offer SHA only over TLS and MD5 nowhere. It must never touch the page or the network.

const encoder = new TextEncoder();

const rotl = (x, n) => (x << n) | (x >>> (32 - n));
const rotr = (x, n) => (x >>> n) | (x << (32 - n));

// The message with its padding, as 32-bit words, 16 to a block.
function blocks(bytes, littleEndian) {
  const length = ((bytes.length + 8) >> 6) + 1;
  const view = new DataView(new ArrayBuffer(length * 64));
  bytes.forEach((byte, at) => view.setUint8(at, byte));
  view.setUint8(bytes.length, 0x80);
  // Texts of an identifier are short: their bits fit into the lower word.
  view.setUint32(length * 64 - (littleEndian ? 8 : 4), bytes.length * 8, littleEndian);
  return Array.from({ length }, (_, block) =>
    Array.from({ length: 16 }, (_, word) => view.getUint32(block * 64 + word * 4, littleEndian)));
}

function hex(words, littleEndian) {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, at) => view.setUint32(at * 4, word, littleEndian));
  return Array.from({ length: view.byteLength }, (_, at) => view.getUint8(at).toString(16).padStart(2, '0')).join('');
}

// RFC 1321.
export function md5(text) {
  const sines = Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
  const shifts = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (const words of blocks(encoder.encode(text), true)) {
    let [a, b, c, d] = state;
    for (let i = 0; i < 64; i++) {
      const round = i >> 4;
      const [f, word] = [
        () => [(b & c) | (~b & d), i],
        () => [(d & b) | (~d & c), (5 * i + 1) & 15],
        () => [b ^ c ^ d, (3 * i + 5) & 15],
        () => [c ^ (b | ~d), (7 * i) & 15],
      ][round]();
      const sum = (a + f + sines[i] + words[word]) | 0;
      [a, d, c, b] = [d, c, b, (b + rotl(sum, shifts[round][i & 3])) | 0];
    }
    [a, b, c, d].forEach((value, at) => { state[at] = (state[at] + value) | 0; });
  }
  return hex(state, true);
}

// RFC 3174.
export function sha1(text) {
  const state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  for (const words of blocks(encoder.encode(text), false)) {
    for (let i = 16; i < 80; i++) words.push(rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1));
    let [a, b, c, d, e] = state;
    words.forEach((word, i) => {
      const [f, k] = i < 20 ? [(b & c) | (~b & d), 0x5a827999]
        : i < 40 ? [b ^ c ^ d, 0x6ed9eba1]
          : i < 60 ? [(b & c) | (b & d) | (c & d), 0x8f1bbcdc]
            : [b ^ c ^ d, 0xca62c1d6];
      [a, b, c, d, e] = [(rotl(a, 5) + f + e + k + word) | 0, a, rotl(b, 30), c, d];
    });
    [a, b, c, d, e].forEach((value, at) => { state[at] = (state[at] + value) | 0; });
  }
  return hex(state, false);
}

// The first bits of the fractional parts of roots of the first primes (FIPS 180-4).
const primes = (count) => {
  const found = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime)) found.push(n);
  return found;
};
const fraction = (x) => Math.floor((x - Math.floor(x)) * 2 ** 32) | 0;
const K = primes(64).map((prime) => fraction(Math.cbrt(prime)));
const H = primes(8).map((prime) => fraction(Math.sqrt(prime)));

// FIPS 180-4.
export function sha256(text) {
  const state = [...H];
  for (const w of blocks(encoder.encode(text), false)) {
    for (let i = 16; i < 64; i++) {
      const s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ (w[i - 15] >>> 3);
      const s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ (w[i - 2] >>> 10);
      w.push((w[i - 16] + s0 + w[i - 7] + s1) | 0);
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
      const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
      const s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [a, b, c, d, e, f, g, h] = [(t1 + t2) | 0, a, b, c, (d + t1) | 0, e, f, g];
    }
    [a, b, c, d, e, f, g, h].forEach((value, at) => { state[at] = (state[at] + value) | 0; });
  }
  return hex(state, false);
}

const HEX = /^[0-9a-f]+$/i;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const PADDING = '0'.repeat(17);

const dashed = (digits) => digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

// A UUID, with its dashes or without.
function uuid(value) {
  if (UUID.test(value)) return value;
  return value.length === 32 && isDigest(value) ? dashed(value) : null;
}

const shapes = {
  oaid: (value) => (/^[0-9a-z_-]{8,64}$/i.test(value) ? value : null),
  imei: (value) => {
    if (/^[0-9]{14,15}$/.test(value)) return value;
    if (value.length !== 32) return null;
    const bare = value.startsWith(PADDING) ? value.slice(17) : value.endsWith(PADDING) ? value.slice(0, 15) : '';
    return /^[0-9]{15}$/.test(bare) ? bare : null;
  },
  android_id: (value) => (/^[0-9a-f]{10,16}$/i.test(value) ? value.toLowerCase().padStart(16, '0') : null),
  aaid: (value) => uuid(value)?.toLowerCase() ?? null,
  idfa: (value) => uuid(value)?.toUpperCase() ?? null,
  idfv: (value) => uuid(value)?.toUpperCase() ?? null,
  mac: (value) => (/^[0-9a-f]{12}$|^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(value)
    ? value.replace(/[:-]/g, '').toUpperCase() : null),
  caid: (value) => (/^[0-9a-f]{32}$/i.test(value) ? value.toLowerCase() : null),
  openudid: (value) => (/^[0-9a-f]{40}$/i.test(value) ? value.toLowerCase() : null),
};

// The IMEI with the check digit that Luhn's formula makes of the device's 14 digits.
function withCheckDigit(device) {
  const sum = [...device].reduce((sum, digit, at) => {
    const value = Number(digit) * (at % 2 ? 2 : 1);
    return sum + Math.floor(value / 10) + (value % 10);
  }, 0);
  return device + ((10 - (sum % 10)) % 10);
}

// Every canonical text of which devices send a digest.
function texts(kind, raw) {
  switch (kind) {
    case 'imei':
      return [raw, raw.slice(0, 14), withCheckDigit(raw.slice(0, 14))];
    case 'mac':
      return [raw, raw.match(/../g).join(':')];
    case 'oaid': {
      const all = [raw, raw.toLowerCase(), raw.toUpperCase()];
      const bare = UUID.test(raw) ? raw.replace(/-/g, '') : null;
      return bare ? [...all, bare.toLowerCase(), bare.toUpperCase()] : all;
    }
    default:
      return [raw];
  }
}

const MACROS = [['__', '__'], ['{{', '}}'], ['{', '}'], ['[', ']'], ['${', '}'], ['%%', '%%'], ['$', '$'], ['$', ''], ['<', '>'], ['#', '#']];

function isMacro(value) {
  return MACROS.some(([open, close]) => value.length >= open.length + close.length && value.startsWith(open)
    && value.endsWith(close) && /^\s*[_a-z][\w.:-]*\s*$/i.test(value.slice(open.length, value.length - close.length)));
}

// Whether many devices send this value, so that it identifies nobody.
function isBad(value, words) {
  return /^[-:_.0]*$/.test(value) || isMacro(value) || /^(.)\1{7,}$/s.test(value) || words.includes(value.toLowerCase());
}

// The same, filled up with zeros to the length of its kind.
function isBadPadded(value, words) {
  const [before, behind] = [value.match(/^0*/)[0].length, value.match(/0*$/)[0].length];
  if (Math.max(before, behind) >= 24) return true;
  return (before >= 8 && isBad(value.slice(before), words)) || (behind >= 8 && isBad(value.slice(0, -behind), words));
}

// Digests of what stands for nothing, which some senders put where an identifier belongs: made when the first value comes that may be one.
let ofNothing = null;
function isDigestOfNothing(value, words) {
  if (!ofNothing) {
    const zeros = Array.from({ length: 64 }, (_, at) => '0'.repeat(at + 1));
    const shaped = ['00000000-0000-0000-0000-000000000000', '00:00:00:00:00:00', '02:00:00:00:00:00'];
    const cased = words.flatMap((word) => [word, word.toUpperCase(), word.charAt(0).toUpperCase() + word.slice(1)]);
    ofNothing = new Set([...zeros, ...shaped, ...cased].flatMap((text) => [md5(text), sha1(text), sha256(text)]));
  }
  return ofNothing.has(value.toLowerCase());
}

// Whether a text can be a digest; one to three zeros that it began with may be lost.
function isDigest(value) {
  const fits = [32, 40, 64].some((length) => value.length <= length && value.length >= length - 3);
  const padded = (/^0{12}/.test(value) || /0{12}$/.test(value)) && !/^0+$/.test(value);
  return fits && HEX.test(value) && !padded;
}

// A CAID with its version in front, or several of them.
const parts = (value) => value.split(/[,|]/, 4).map((part) => part.trim().replace(/^[0-9a-z]{1,16}_/i, ''));

/**
 * What is to be sent for a value that was typed:
 *
 * { state: 'empty' | 'malformed' | 'bad' }          nothing
 * { state: 'digest', value }                        the value itself, if the person says that it is a digest: it can be nothing else of this kind, but
 *                                                   an identifier of another kind, without its dashes, looks the same
 * { state: 'raw', hashed, maybeDigest }             `md5.sha1.sha256` of each text, joined by `~`; maybeDigest: the value looks like a digest as well
 *
 * `words`: values that many devices send, in lower case.
 */
export function read(kind, typed, words) {
  let value = typed.trim();
  if (!value) return { state: 'empty' };
  if (kind === 'imei' && /^[0-9 -]+$/.test(value)) value = value.replace(/[ -]/g, '');
  if (isBad(typed.trim(), words)) return { state: 'bad' };
  const shape = shapes[kind];
  const values = kind === 'caid' ? parts(value) : [value];
  if (!shape || value.length > (kind === 'caid' ? 1024 : 128)) return { state: 'malformed' };
  const raws = values.map(shape);
  if (raws.every((raw) => raw !== null)) {
    const unshaped = kind === 'oaid' || kind === 'caid' || kind === 'openudid';
    const isBadRaw = (raw, at) => isBad(raw, words) || isBad(values[at], words)
      || (unshaped && isBadPadded(values[at], words));
    if (raws.some(isBadRaw) || values.some((value) => isDigest(value) && isDigestOfNothing(value, words))) {
      return { state: 'bad' };
    }
    const all = [...new Set(raws.flatMap((raw) => texts(kind, raw)))];
    const hashed = all.map((text) => [md5(text), sha1(text), sha256(text)].join('.')).join('~');
    const isPadded = kind === 'imei' && value.length === 32;
    return { state: 'raw', hashed, maybeDigest: !isPadded && values.some(isDigest) };
  }
  if (values.length === 1 && isDigest(value)) {
    return isDigestOfNothing(value, words) ? { state: 'bad' } : { state: 'digest', value };
  }
  return { state: 'malformed' };
}

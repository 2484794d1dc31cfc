// Verifies an exported log with nothing but Node.js: Ed25519 and SHA-256 of node:crypto. Shares no code with the
// gateway. Written from C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, tlog-witness, and RFC 9162.
//
//   node verify_log.mjs site DIRECTORY VKEY [KEPT-CHECKPOINT]
//   node verify_log.mjs entry FILE.tlog-proof VKEY
//   node verify_log.mjs consistency FILE KEPT-CHECKPOINT VKEY
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const leafHash = (entry) => sha256(Buffer.from([0]), entry);
const nodeHash = (left, right) => sha256(Buffer.from([1]), left, right);
const demand = (holds, what) => {
  if (!holds) throw new Error(what);
};
const unbase64 = (text) => {
  const data = Buffer.from(text, "base64");
  demand(data.toString("base64") === text, "no canonical base64");
  return data;
};
const decimal = (text) => {
  demand(/^(0|[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text)), "no number");
  return Number(text);
};
const hashOf = (line) => {
  const hash = unbase64(line);
  demand(hash.length === 32, "a hash has 32 bytes");
  return hash;
};

// C2SP signed-note and tlog-checkpoint.
function checkpoint(data, vkey) {
  const [name, id, ...rest] = vkey.trim().split("+");
  const key = unbase64(rest.join("+"));
  demand(key.length === 33 && key[0] === 1, "no Ed25519 key");
  const keyId = sha256(`${name}\n`, key).subarray(0, 4);
  demand(keyId.toString("hex") === id, "the key has another id");
  const at = data.lastIndexOf("\n\n");
  demand(at > 0, "no signed note");
  const text = data.subarray(0, at + 1);
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]);
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  const ours = data.subarray(at + 2).toString().split("\n").filter((line) => {
    const [dash, signer, value] = line.split(" ");
    return dash === "\u2014" && signer === name && unbase64(value).subarray(0, 4).equals(keyId);
  });
  demand(ours.length > 0, "not signed by this key");
  for (const line of ours)
    demand(verify(null, text, publicKey, unbase64(line.split(" ")[2]).subarray(4)), "wrong signature");
  const [origin, size, root] = text.toString().split("\n");
  demand(origin === name, "checkpoint of another log");
  return { size: decimal(size), root: hashOf(root) };
}

// RFC 9162 §2.1.1, from leaf hashes.
function treeHash(hashes) {
  if (hashes.length === 0) return sha256("");
  if (hashes.length === 1) return hashes[0];
  let split = 1;
  while (split * 2 < hashes.length) split *= 2;
  return nodeHash(treeHash(hashes.slice(0, split)), treeHash(hashes.slice(split)));
}

// C2SP tlog-tiles.
function path(level, n, width) {
  const groups = String(n).padStart(Math.ceil(String(n).length / 3) * 3, "0").match(/\d{3}/g);
  const name = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${level}/${name}${width < 256 ? `.p/${width}` : ""}`;
}

function entries(data, count) {
  const found = [];
  while (data.length > 0) {
    demand(data.length >= 2 && data.length >= 2 + data.readUInt16BE(0), "a bundle is cut short");
    const end = 2 + data.readUInt16BE(0);
    found.push(data.subarray(2, end));
    data = data.subarray(end);
  }
  demand(found.length === count, `a bundle has ${found.length} entries instead of ${count}`);
  return found;
}

function site(directory, vkey, kept) {
  const { size, root } = checkpoint(readFileSync(join(directory, "checkpoint")), vkey);
  const leaves = [];
  for (let n = 0; n * 256 < size; n++) {
    const count = Math.min(256, size - n * 256);
    leaves.push(...entries(readFileSync(join(directory, path("entries", n, count))), count).map(leafHash));
  }
  for (let level = 0, hashes = leaves; hashes.length > 0; level++) {
    const above = [];
    for (let n = 0; n * 256 < hashes.length; n++) {
      const tile = hashes.slice(n * 256, (n + 1) * 256);
      const file = path(level, n, tile.length);
      demand(readFileSync(join(directory, file)).equals(Buffer.concat(tile)), `${file} differs from the entries`);
      if (tile.length === 256) above.push(treeHash(tile));
    }
    hashes = above;
  }
  demand(treeHash(leaves).equals(root), "the entries do not lead to the root");
  if (kept !== undefined) {
    const old = checkpoint(readFileSync(kept), vkey);
    demand(old.size <= size, `the log had ${old.size} entries and has ${size}`);
    demand(treeHash(leaves.slice(0, old.size)).equals(old.root), "the log does not extend the kept checkpoint");
  }
  return size;
}

function proofFile(file, vkey) {
  const data = readFileSync(file);
  const at = data.indexOf("\n\n");
  demand(at > 0, "no proof file");
  return { head: data.subarray(0, at).toString().split("\n"), tree: checkpoint(data.subarray(at + 2), vkey) };
}

// C2SP tlog-proof with the entry in `extra`; RFC 9162 §2.1.3.2.
function entry(file, vkey) {
  const { head, tree } = proofFile(file, vkey);
  const [header, extra, place, ...lines] = head;
  demand(header === "c2sp.org/tlog-proof@v1" && extra.startsWith("extra ") && place.startsWith("index "), "no proof");
  const index = decimal(place.slice("index ".length));
  demand(index < tree.size, "beyond the tree");
  let [position, last, hash] = [index, tree.size - 1, leafHash(unbase64(extra.slice("extra ".length)))];
  for (const sibling of lines.map(hashOf)) {
    demand(last > 0, "too many hashes");
    if (position % 2 === 1 || position === last) {
      hash = nodeHash(sibling, hash);
      while (position % 2 === 0 && position > 0) [position, last] = [position / 2, Math.floor(last / 2)];
    } else hash = nodeHash(hash, sibling);
    [position, last] = [Math.floor(position / 2), Math.floor(last / 2)];
  }
  demand(last === 0 && hash.equals(tree.root), "the proof does not lead to the root");
  return index;
}

// The body of add-checkpoint (C2SP tlog-witness); RFC 9162 §2.1.4.2.
function consistency(file, kept, vkey) {
  const { head, tree } = proofFile(file, vkey);
  const old = checkpoint(readFileSync(kept), vkey);
  demand(head[0] === `old ${old.size}` && old.size > 0 && old.size <= tree.size, "from another size");
  const proof = head.slice(1).map(hashOf);
  if (old.size === tree.size) {
    demand(proof.length === 0 && old.root.equals(tree.root), "two roots for one size");
    return tree.size;
  }
  if (Number.isInteger(Math.log2(old.size))) proof.unshift(old.root);
  let [position, last] = [old.size - 1, tree.size - 1];
  while (position % 2 === 1) [position, last] = [Math.floor(position / 2), Math.floor(last / 2)];
  let [before, after] = [proof[0], proof[0]];
  demand(proof.length > 0, "no hashes");
  for (const sibling of proof.slice(1)) {
    demand(last > 0, "too many hashes");
    if (position % 2 === 1 || position === last) {
      [before, after] = [nodeHash(sibling, before), nodeHash(sibling, after)];
      while (position % 2 === 0 && position > 0) [position, last] = [position / 2, Math.floor(last / 2)];
    } else after = nodeHash(after, sibling);
    [position, last] = [Math.floor(position / 2), Math.floor(last / 2)];
  }
  demand(last === 0 && before.equals(old.root) && after.equals(tree.root), "the later log does not extend the earlier");
  return tree.size;
}

const [mode, ...given] = process.argv.slice(2);
try {
  console.log(`verified ${{ site, entry, consistency }[mode](...given)}`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

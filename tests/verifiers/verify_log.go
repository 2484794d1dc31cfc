// Verifies an exported log with nothing but the Go authors' golang.org/x/mod/sumdb/note and sumdb/tlog, which
// check the checksum database of Go; Debian has them as golang-golang-x-mod-dev. Shares no code with the gateway.
//
//	verify_log site DIRECTORY VKEY [KEPT-CHECKPOINT]
//	verify_log entry FILE.tlog-proof VKEY
//	verify_log consistency FILE KEPT-CHECKPOINT VKEY
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256 // of a full tile or bundle: C2SP tlog-tiles

func main() {
	said, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(said)
}

func run(args []string) (string, error) {
	switch {
	case len(args) == 3 && args[0] == "site":
		return site(args[1], args[2], "")
	case len(args) == 4 && args[0] == "site":
		return site(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "entry":
		return entry(args[1], args[2])
	case len(args) == 4 && args[0] == "consistency":
		return consistency(args[1], args[2], args[3])
	}
	return "", fmt.Errorf("usage: verify_log site|entry|consistency ...")
}

// checkpoint opens a signed note and reads size and root (C2SP tlog-checkpoint).
func checkpoint(data []byte, vkey string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("checkpoint of another log")
	}
	if tree.N, err = decimal(lines[1]); err != nil {
		return tree, err
	}
	if tree.Hash, err = tlog.ParseHash(lines[2]); err == nil && tree.N == 0 && tree.Hash != sha256.Sum256(nil) {
		err = fmt.Errorf("no root of an empty log")
	}
	return tree, err
}

// decimal reads a number that is written in the one way there is.
func decimal(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (number < 0 || strconv.FormatInt(number, 10) != text) {
		err = fmt.Errorf("no number: %s", text)
	}
	return number, err
}

// tiles reads hash tiles of a directory; the paths of sumdb name the height too.
type tiles struct{ directory string }

func (t tiles) Height() int                     { return 8 }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) (data [][]byte, err error) {
	for _, one := range wanted {
		read, err := os.ReadFile(filepath.Join(t.directory, strings.Replace(one.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		if len(read) != one.W*tlog.HashSize {
			return nil, fmt.Errorf("%s: %d bytes", one.Path(), len(read))
		}
		data = append(data, read)
	}
	return data, nil
}

func site(directory, vkey, kept string) (string, error) {
	data, err := os.ReadFile(filepath.Join(directory, "checkpoint"))
	if err != nil {
		return "", err
	}
	tree, err := checkpoint(data, vkey)
	if err != nil {
		return "", err
	}
	reader := tlog.TileHashReader(tree, tiles{directory}) // believes no tile that does not lead to the root
	for first := int64(0); first < tree.N; first += width {
		if err := bundle(directory, tree, first, reader); err != nil {
			return "", err
		}
	}
	if kept != "" {
		if err := extends(kept, vkey, tree, reader); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("verified %d", tree.N), nil
}

// bundle compares the entries of one bundle with authenticated hashes.
func bundle(directory string, tree tlog.Tree, first int64, reader tlog.HashReader) error {
	count := tree.N - first
	if count > width {
		count = width
	}
	path := tlog.Tile{H: 8, L: 0, N: first / width, W: int(count)}.Path()
	data, err := os.ReadFile(filepath.Join(directory, strings.Replace(path, "tile/8/0/", "tile/entries/", 1)))
	if err != nil {
		return err
	}
	for index := first; index < first+count; index++ {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("entry %d is missing", index)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		leaf := tlog.RecordHash(data[2:end])
		data = data[end:]
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		if hashes[0] != leaf {
			return fmt.Errorf("entry %d is not the one in the tree", index)
		}
	}
	if len(data) != 0 {
		return fmt.Errorf("entries beyond %d", first+count)
	}
	proof, err := tlog.ProveRecord(tree.N, first, reader)
	if err != nil {
		return err
	}
	hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, first)})
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, first, hashes[0])
}

func extends(kept, vkey string, tree tlog.Tree, reader tlog.HashReader) error {
	data, err := os.ReadFile(kept)
	if err != nil {
		return err
	}
	old, err := checkpoint(data, vkey)
	if err != nil {
		return err
	}
	if old.N > tree.N {
		return fmt.Errorf("the log had %d entries and has %d", old.N, tree.N)
	}
	proof, err := tlog.ProveTree(tree.N, old.N, reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
}

// entry checks a file of C2SP tlog-proof whose `extra` line is the entry.
func entry(file, vkey string) (string, error) {
	head, tree, err := split(file, vkey)
	if err != nil {
		return "", err
	}
	if len(head) < 3 || head[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(head[1], "extra ") {
		return "", fmt.Errorf("no proof of an entry")
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(head[1], "extra "))
	if err != nil {
		return "", err
	}
	index, err := decimal(strings.TrimPrefix(head[2], "index "))
	if err != nil {
		return "", err
	}
	hashes, err := parse(head[3:])
	if err != nil {
		return "", err
	}
	err = tlog.CheckRecord(tlog.RecordProof(hashes), tree.N, tree.Hash, index, tlog.RecordHash(leaf))
	return fmt.Sprintf("verified %d", index), err
}

// consistency checks a file in the form of add-checkpoint (C2SP tlog-witness).
func consistency(file, kept, vkey string) (string, error) {
	head, tree, err := split(file, vkey)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(kept)
	if err != nil {
		return "", err
	}
	old, err := checkpoint(data, vkey)
	if err != nil {
		return "", err
	}
	if head[0] != fmt.Sprintf("old %d", old.N) {
		return "", fmt.Errorf("the proof is from another size")
	}
	hashes, err := parse(head[1:])
	if err != nil {
		return "", err
	}
	err = tlog.CheckTree(tlog.TreeProof(hashes), tree.N, tree.Hash, old.N, old.Hash)
	return fmt.Sprintf("verified %d", tree.N), err
}

// split reads the lines before the checkpoint of a proof file, and the checkpoint.
func split(file, vkey string) (head []string, tree tlog.Tree, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, tree, err
	}
	at := bytes.Index(data, []byte("\n\n"))
	if at < 0 {
		return nil, tree, fmt.Errorf("no checkpoint")
	}
	tree, err = checkpoint(data[at+2:], vkey)
	return strings.Split(string(data[:at]), "\n"), tree, err
}

func parse(lines []string) (hashes []tlog.Hash, err error) {
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

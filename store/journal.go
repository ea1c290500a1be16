package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Journal keeps entries that wait in files, as lines of JSON, so that they
// outlive the process. Nothing is forced to the disk: what the kernel has been
// given survives a SIGKILL, though not the machine. Its user locks.
//
// Entries are done with in the order in which they came, so the files are a
// queue of segments: entries go to the newest, and the oldest goes when the
// last of its entries has been saved. When there is no room the journal stops
// until nothing waits any more; what came meanwhile waits in memory alone.
type Journal[T any] struct {
	dir      string
	room     int64 // bytes that may still be written
	next     int   // number of the next segment
	newest   *os.File
	segments []segment
	stopped  error
}

// segment is a file of entries that wait.
type segment struct {
	path    string
	entries int
	bytes   int64
}

const (
	segmentEntries = 1024
	segmentSuffix  = ".entries"
)

var errFull = errors.New("the journal is full")

// OpenJournal reads what an earlier process left in a folder, which is made
// when there is none. The journal takes no more than room bytes.
func OpenJournal[T any](dir string, room int64) (*Journal[T], []T, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return nil, nil, err
	}
	slices.Sort(paths)
	j := &Journal[T]{dir: dir, room: room}
	var all []T
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		entries := entriesOf[T](text)
		all = append(all, entries...)
		j.segments = append(j.segments, segment{path, len(entries), int64(len(text))})
		j.room -= int64(len(text))
		if _, err := fmt.Sscanf(filepath.Base(path), "%d", &j.next); err != nil {
			return nil, nil, fmt.Errorf("%s: not a file of this journal", path)
		}
		j.next++
	}
	return j, all, nil
}

// entriesOf reads a segment. Its last line may be torn.
func entriesOf[T any](text []byte) (all []T) {
	for line := range bytes.Lines(text) {
		var e T
		if json.Unmarshal(line, &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// Add keeps an entry. The first error is returned, and ends the journal until
// it is emptied.
func (j *Journal[T]) Add(e T) error {
	if j.stopped != nil {
		return nil
	}
	j.stopped = j.write(e)
	return j.stopped
}

func (j *Journal[T]) write(e T) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if j.newest == nil || j.segments[len(j.segments)-1].entries >= segmentEntries {
		if err := j.begin(); err != nil {
			return err
		}
	}
	if int64(len(line)) >= j.room {
		return errFull
	}
	n, err := j.newest.Write(append(line, '\n'))
	s := &j.segments[len(j.segments)-1]
	s.bytes, j.room = s.bytes+int64(n), j.room-int64(n)
	s.entries++
	return err
}

func (j *Journal[T]) begin() error {
	path := filepath.Join(j.dir, fmt.Sprintf("%012d%s", j.next, segmentSuffix))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.newest != nil {
		j.newest.Close()
	}
	j.newest, j.next = file, j.next+1
	j.segments = append(j.segments, segment{path: path})
	return nil
}

// Saved is told that the oldest n entries need not be kept any more, and
// whether nothing waits now.
func (j *Journal[T]) Saved(n int, empty bool) {
	for !empty && j.stopped == nil && n > 0 && len(j.segments) > 0 {
		oldest := &j.segments[0]
		done := min(n, oldest.entries)
		oldest.entries, n = oldest.entries-done, n-done
		if oldest.entries > 0 || len(j.segments) == 1 {
			return
		}
		j.drop()
	}
	if empty {
		j.empty()
	}
}

// drop removes the oldest segment.
func (j *Journal[T]) drop() {
	_ = os.Remove(j.segments[0].path) // what is left is saved again, which changes nothing
	j.room += j.segments[0].bytes
	j.segments = j.segments[1:]
}

// empty forgets everything, but keeps the newest file to be written on.
func (j *Journal[T]) empty() {
	for len(j.segments) > 1 {
		j.drop()
	}
	j.stopped = nil
	if len(j.segments) == 0 {
		return
	}
	last := &j.segments[0]
	if j.newest == nil || j.newest.Truncate(0) != nil {
		j.drop()
		j.newest = nil
		return
	}
	j.room += last.bytes
	last.entries, last.bytes = 0, 0
}

package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// CrashFS is a file system in memory that can lose power.
//
// It knows of each file what is on the disk for certain, what programs see now,
// and a few of the states between, page by page; and of each directory which
// changes of names are not yet synced. Crash draws from that, by a seed, a file
// system as a power loss may leave it. Kill is the end of the process alone:
// nothing is lost, and what was not synced still is not.
//
// The old file system stays usable, so that goroutines of a store that was
// "killed" write into the void and harm nobody.
type CrashFS struct {
	mu       sync.Mutex
	rng      *rand.Rand // chooses which captured states are forgotten
	now      func() time.Time
	root     *crashNode
	unsynced []nameOp // changes of names that are not durable, oldest first
	locks    map[*crashNode]bool

	capacity int64 // pages
	used     int64 // allocated pages

	mapped []*crashNode // files with mappings, in the order they were mapped
	cursor captureCursor

	cacheID string
	outcome Outcome // of the crash that made this file system
}

// crashNode is a file or a directory.
type crashNode struct {
	dir   bool
	mode  os.FileMode
	mtime time.Time

	live    map[string]*crashNode // of a directory: its names now
	durable map[string]*crashNode // of a directory: its names as synced

	data crashData // of a file
	refs int       // handles and mappings; space is free when there are none and no name
	gone bool      // has no name any more
}

// nameRef is a name in a directory; the zero value is none.
type nameRef struct {
	dir  *crashNode
	name string
}

// nameOp is one change of names, atomic as a journal makes it: without from a
// new name, without to a removed one, with both a rename.
type nameOp struct {
	from, to nameRef
	node     *crashNode
}

// unlimitedPages is the capacity of a disk that nobody made smaller: 1 TiB.
const unlimitedPages = 1 << 28

// NewCrashFS returns an empty file system. The seed decides which of the states
// between two syncs it remembers; the seed of Crash decides what survives.
func NewCrashFS(seed uint64) *CrashFS {
	return &CrashFS{
		rng:      newRand(seed),
		now:      time.Now,
		root:     newDirNode(time.Now()),
		locks:    map[*crashNode]bool{},
		capacity: unlimitedPages,
		cacheID:  newCacheID(),
	}
}

var cacheIDs atomic.Int64

func newCacheID() string { return fmt.Sprintf("simulated %d", cacheIDs.Add(1)) }

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x726f636b65746c6f)) }

func newDirNode(now time.Time) *crashNode {
	return &crashNode{dir: true, mode: os.ModeDir | 0o755, mtime: now,
		live: map[string]*crashNode{}, durable: map[string]*crashNode{}}
}

// SetNow sets the clock that modification times are taken from.
func (c *CrashFS) SetNow(now func() time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// SetCapacity sets the size of the disk in bytes. It may be less than what is in use.
func (c *CrashFS) SetCapacity(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.capacity = size / crashPageSize
}

// Snapshot captures the present state of every page written through a mapping,
// as one that a crash may bring back until the page is synced. Each operation
// of the file system does the same for a few pages, and a write through a File
// for those it changes.
func (c *CrashFS) Snapshot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.mapped {
		n.data.eachWritten(func(i int) { c.capturePage(n, i) })
	}
}

// enter starts an operation. The states of mapped pages are captured here,
// a few at a time: what a goroutine stores through a mapping is seen only then.
func (c *CrashFS) enter() {
	c.mu.Lock()
	c.captureSome()
}

// split is the path from the root. The working directory counts as the root.
func split(name string) []string {
	clean := path.Clean("/" + strings.TrimPrefix(filepath.ToSlash(name), filepath.VolumeName(name)))
	if clean == "/" {
		return nil
	}
	return strings.Split(clean[1:], "/")
}

func (c *CrashFS) find(name string) (*crashNode, error) {
	n := c.root
	for _, part := range split(name) {
		if !n.dir {
			return nil, syscall.ENOTDIR
		}
		next, ok := n.live[part]
		if !ok {
			return nil, syscall.ENOENT
		}
		n = next
	}
	return n, nil
}

// findParent returns the place of name and what is there, if anything.
func (c *CrashFS) findParent(name string) (nameRef, *crashNode, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nameRef{}, nil, syscall.EBUSY // the root has no place
	}
	last := len(parts) - 1
	dir, err := c.find(strings.Join(parts[:last], "/"))
	if err != nil {
		return nameRef{}, nil, err
	}
	if !dir.dir {
		return nameRef{}, nil, syscall.ENOTDIR
	}
	return nameRef{dir, parts[last]}, dir.live[parts[last]], nil
}

// change applies a change of names now and remembers that it is not synced.
func (c *CrashFS) change(op nameOp) {
	op.apply(liveNames)
	c.unsynced = append(c.unsynced, op)
	for _, ref := range []nameRef{op.from, op.to} {
		if ref.dir != nil {
			ref.dir.mtime = c.now()
		}
	}
}

func (op nameOp) apply(names func(dir *crashNode) map[string]*crashNode) {
	if op.from.dir != nil {
		delete(names(op.from.dir), op.from.name)
	}
	if op.to.dir != nil {
		names(op.to.dir)[op.to.name] = op.node
	}
}

// drop takes the last name of a node away; its space is free once nobody uses it.
func (c *CrashFS) drop(n *crashNode) {
	n.gone = true
	c.release(n)
}

func (c *CrashFS) release(n *crashNode) {
	if n.gone && n.refs == 0 {
		c.used -= n.data.freeAll()
	}
}

// OpenFile implements FS.
func (c *CrashFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	c.enter()
	defer c.mu.Unlock()
	n, err := c.open(name, flag, perm)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	n.refs++
	access := flag & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
	return &crashFile{fs: c, node: n, name: name, canRead: access != os.O_WRONLY, canWrite: access != os.O_RDONLY}, nil
}

func (c *CrashFS) open(name string, flag int, perm os.FileMode) (*crashNode, error) {
	if flag&os.O_APPEND != 0 {
		return nil, syscall.EINVAL
	}
	writes := flag&(os.O_WRONLY|os.O_RDWR|os.O_CREATE) != 0
	if n, err := c.find(name); err == nil && n.dir {
		if writes {
			return nil, syscall.EISDIR
		}
		return n, nil
	}
	at, n, err := c.findParent(name)
	switch {
	case err != nil:
		return nil, err
	case n == nil && flag&os.O_CREATE == 0:
		return nil, syscall.ENOENT
	case n == nil:
		return c.newFile(at, perm), nil
	case flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, syscall.EEXIST
	case c.locks[n]:
		return nil, ErrLocked
	}
	if flag&os.O_TRUNC != 0 && writes {
		c.truncate(n, 0)
	}
	return n, nil
}

func (c *CrashFS) newFile(at nameRef, perm os.FileMode) *crashNode {
	n := &crashNode{mode: perm.Perm(), mtime: c.now()}
	c.change(nameOp{to: at, node: n})
	return n
}

// MkdirAll implements FS.
func (c *CrashFS) MkdirAll(dir string, perm os.FileMode) error {
	c.enter()
	defer c.mu.Unlock()
	n := c.root
	for _, part := range split(dir) {
		if !n.dir {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		next, ok := n.live[part]
		if !ok {
			next = newDirNode(c.now())
			c.change(nameOp{to: nameRef{n, part}, node: next})
		}
		n = next
	}
	if !n.dir {
		return pathError("mkdir", dir, syscall.ENOTDIR)
	}
	return nil
}

// Remove implements FS.
func (c *CrashFS) Remove(name string) error {
	c.enter()
	defer c.mu.Unlock()
	at, n, err := c.findParent(name)
	switch {
	case err != nil:
	case n == nil:
		err = syscall.ENOENT
	case n.dir && len(n.live) > 0:
		err = syscall.ENOTEMPTY
	default:
		c.unlink(at, n)
	}
	return pathError("remove", name, err)
}

func (c *CrashFS) unlink(at nameRef, n *crashNode) {
	c.change(nameOp{from: at, node: n})
	c.drop(n)
}

// RemoveAll implements FS.
func (c *CrashFS) RemoveAll(name string) error {
	c.enter()
	defer c.mu.Unlock()
	at, n, err := c.findParent(name)
	if err == syscall.ENOENT || err == nil && n == nil {
		return nil
	}
	if err != nil {
		return pathError("removeall", name, err)
	}
	c.removeTree(at, n)
	return nil
}

func (c *CrashFS) removeTree(at nameRef, n *crashNode) {
	for _, name := range sortedNames(n.live) {
		c.removeTree(nameRef{n, name}, n.live[name])
	}
	c.unlink(at, n)
}

func sortedNames(names map[string]*crashNode) []string {
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted
}

// Rename implements FS.
func (c *CrashFS) Rename(oldname, newname string) error {
	c.enter()
	defer c.mu.Unlock()
	if err := c.rename(oldname, newname); err != nil {
		return &os.LinkError{Op: "rename", Old: oldname, New: newname, Err: err}
	}
	return nil
}

func (c *CrashFS) rename(oldname, newname string) error {
	from, n, err := c.findParent(oldname)
	if err != nil {
		return err
	}
	to, replaced, err := c.findParent(newname)
	switch {
	case err != nil:
		return err
	case n == nil:
		return syscall.ENOENT
	case n == replaced:
		return nil
	case n.dir && slices.Contains(c.nodesOn(newname), n):
		return syscall.EINVAL
	case replaced == nil:
	case n.dir && !replaced.dir:
		return syscall.ENOTDIR
	case replaced.dir && !n.dir:
		return syscall.EISDIR
	case replaced.dir && len(replaced.live) > 0:
		return syscall.ENOTEMPTY
	}
	c.change(nameOp{from: from, to: to, node: n})
	if replaced != nil {
		c.drop(replaced)
	}
	return nil
}

// nodesOn are the nodes on the way to name.
func (c *CrashFS) nodesOn(name string) []*crashNode {
	nodes := []*crashNode{c.root}
	n := c.root
	for _, part := range split(name) {
		if n = n.live[part]; n == nil {
			break
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// ReadDir implements FS.
func (c *CrashFS) ReadDir(dir string) ([]os.DirEntry, error) {
	c.enter()
	defer c.mu.Unlock()
	n, err := c.find(dir)
	if err == nil && !n.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("readdir", dir, err)
	}
	entries := make([]os.DirEntry, 0, len(n.live))
	for _, name := range sortedNames(n.live) {
		entries = append(entries, fs.FileInfoToDirEntry(infoOf(name, n.live[name])))
	}
	return entries, nil
}

// Stat implements FS.
func (c *CrashFS) Stat(name string) (os.FileInfo, error) {
	c.enter()
	defer c.mu.Unlock()
	n, err := c.find(name)
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return infoOf(filepath.Base(name), n), nil
}

// SyncDir implements FS.
func (c *CrashFS) SyncDir(dir string) error {
	c.enter()
	defer c.mu.Unlock()
	n, err := c.find(dir)
	switch {
	case err != nil:
	case !n.dir:
		err = n.data.syncAll(c) // as fsync of its descriptor would
	default:
		c.syncNames(n)
	}
	return pathError("fsync", dir, err)
}

// syncNames makes the names in dir durable: the changes that touch it, and the
// earlier ones that these build on, which a journal would not leave behind.
func (c *CrashFS) syncNames(dir *crashNode) {
	needed := map[nameRef]bool{}
	var chosen, rest []nameOp
	for _, op := range slices.Backward(c.unsynced) {
		if op.from.dir != dir && op.to.dir != dir && !needed[op.from] && !needed[op.to] {
			rest = append(rest, op)
			continue
		}
		chosen = append(chosen, op)
		for _, ref := range []nameRef{op.from, op.to} {
			if ref.dir != nil {
				needed[ref] = true
			}
		}
	}
	slices.Reverse(rest)
	c.unsynced = rest
	for _, op := range slices.Backward(chosen) {
		op.apply(durableNames)
	}
}

// CacheID implements FS. It is the same after Kill, another after Crash.
func (c *CrashFS) CacheID(string) string { return c.cacheID }

// SyncAll implements FS.
func (c *CrashFS) SyncAll(path string) error {
	c.enter()
	defer c.mu.Unlock()
	if _, err := c.find(path); err != nil {
		return pathError("syncfs", path, err)
	}
	for _, op := range c.unsynced {
		op.apply(durableNames)
	}
	c.unsynced = nil
	return pathError("syncfs", path, c.syncTree(c.root))
}

func (c *CrashFS) syncTree(n *crashNode) error {
	if !n.dir {
		return n.data.syncAll(c)
	}
	for _, name := range sortedNames(n.live) {
		if err := c.syncTree(n.live[name]); err != nil {
			return err
		}
	}
	return nil
}

// Usage implements FS.
func (c *CrashFS) Usage(path string) (Usage, error) {
	c.enter()
	defer c.mu.Unlock()
	if _, err := c.find(path); err != nil {
		return Usage{}, pathError("statfs", path, err)
	}
	free := uint64(max(0, c.capacity-c.used)) * crashPageSize
	return Usage{Total: uint64(c.capacity) * crashPageSize, Free: free, Avail: free}, nil
}

// Lock implements FS. A crash or a kill frees the lock, as the end of a process does.
func (c *CrashFS) Lock(name string) (io.Closer, error) {
	c.enter()
	defer c.mu.Unlock()
	n, err := c.open(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err == nil && n.dir {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	c.locks[n] = true
	return &crashLock{fs: c, node: n, name: name}, nil
}

type crashLock struct {
	fs   *CrashFS
	node *crashNode // nil when given back
	name string
}

func (l *crashLock) Close() error {
	l.fs.enter()
	defer l.fs.mu.Unlock()
	if l.node == nil {
		return pathError("unlock", l.name, os.ErrClosed)
	}
	delete(l.fs.locks, l.node)
	l.node = nil
	return nil
}

// crashInfo describes a node as it was.
type crashInfo struct {
	name  string
	size  int64
	mode  os.FileMode
	mtime time.Time
}

func infoOf(name string, n *crashNode) crashInfo {
	return crashInfo{name: name, size: n.data.size, mode: n.mode, mtime: n.mtime}
}

func (i crashInfo) Name() string       { return i.name }
func (i crashInfo) Size() int64        { return i.size }
func (i crashInfo) Mode() os.FileMode  { return i.mode }
func (i crashInfo) ModTime() time.Time { return i.mtime }
func (i crashInfo) IsDir() bool        { return i.mode.IsDir() }
func (i crashInfo) Sys() any           { return nil }

// pagesOf is how many pages size bytes take.
func pagesOf(size int64) int {
	pages := size / crashPageSize
	if size%crashPageSize > 0 {
		pages++
	}
	return int(min(pages, math.MaxInt))
}

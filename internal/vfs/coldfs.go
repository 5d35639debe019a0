package vfs

import (
	"os"
	"sync"
)

// ColdFS is a file system for tests whose page cache can be emptied at will: what was chilled is not resident until it is
// loaded. Bytes are those of the file system below; only Resident, Load and Forget of mappings differ.
type ColdFS struct {
	FS
	// OnLoad is called before each load, when set; it may wait.
	OnLoad func(name string, off, n int)
	// ReadAhead is how much comes with a load that goes on where something is resident, or begins a file.
	ReadAhead int

	mu       sync.Mutex
	resident map[string]map[int]bool // pages, by file; a file that is not in here is resident as a whole
	loaded   int
}

// NewColdFS makes one in which everything is resident.
func NewColdFS(inner FS) *ColdFS {
	return &ColdFS{FS: inner, resident: map[string]map[int]bool{}}
}

// Chill empties the cache of the files with these paths.
func (c *ColdFS) Chill(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		c.resident[name] = map[int]bool{}
	}
}

// Loaded is how many bytes were loaded, in whole pages.
func (c *ColdFS) Loaded() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded * pageSize
}

// ResidentBytes is how much of a chilled file is resident, in whole pages.
func (c *ColdFS) ResidentBytes(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.resident[name]) * pageSize
}

// OpenFile opens a file whose mappings can be cold.
func (c *ColdFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return coldFile{f, c}, nil
}

type coldFile struct {
	File
	fs *ColdFS
}

func (f coldFile) Map(off int64, n int, writable bool) (Mapping, error) {
	m, err := f.File.Map(off, n, writable)
	if err != nil {
		return nil, err
	}
	return &coldMapping{m, f.fs, f.Name(), int(off)}, nil
}

type coldMapping struct {
	Mapping
	fs   *ColdFS
	name string
	off  int
}

// pages calls fn with each page of a range of a chilled file, under the lock.
func (m *coldMapping) pages(off, n int, fn func(resident map[int]bool, page int)) {
	m.fs.mu.Lock()
	defer m.fs.mu.Unlock()
	resident := m.fs.resident[m.name]
	if resident == nil || n <= 0 {
		return
	}
	for page := (m.off + off) / pageSize; page <= (m.off+off+n-1)/pageSize; page++ {
		fn(resident, page)
	}
}

func (m *coldMapping) Resident(off, n int) bool {
	all := true
	m.pages(off, n, func(resident map[int]bool, page int) { all = all && resident[page] })
	return all
}

func (m *coldMapping) Load(off, n int) error {
	if m.fs.OnLoad != nil {
		m.fs.OnLoad(m.name, m.off+off, n)
	}
	if err := m.Mapping.Load(off, n); err != nil {
		return err
	}
	sequential := m.off+off == 0
	m.pages(off-1, 1, func(resident map[int]bool, page int) { sequential = sequential || resident[page] })
	m.pages(off, n, func(resident map[int]bool, page int) {
		if !resident[page] {
			resident[page] = true
			m.fs.loaded++
		}
	})
	if sequential {
		m.pages(off+n, min(m.fs.ReadAhead, len(m.Bytes())-off-n), func(resident map[int]bool, page int) { resident[page] = true })
	}
	return nil
}

func (m *coldMapping) Forget(off, n int) error {
	m.pages(off, n, func(resident map[int]bool, page int) { delete(resident, page) })
	return m.Mapping.Forget(off, n)
}

package nameserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func (s *Server) getKVConfig(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.GetKVConfigRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	value, ok := s.kv.Get(header.Namespace, header.Key)
	if !ok {
		return remoting.NewResponse(protocol.QueryNotFound, "No config item, Namespace: "+header.Namespace+" Key: "+header.Key)
	}
	return withHeader(&protocol.GetKVConfigResponseHeader{Value: value})
}

func (s *Server) getKVList(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.GetKVListByNamespaceRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	values, ok := s.kv.List(header.Namespace)
	if !ok {
		return remoting.NewResponse(protocol.QueryNotFound, "No config item, Namespace: "+header.Namespace)
	}
	return withJSON(protocol.KVTable{Table: values})
}

func (s *Server) putKVConfig(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.PutKVConfigRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	if header.Namespace == "" || header.Key == "" {
		return failure(errors.New("namespace or key is null"))
	}
	if err := s.kv.Put(header.Namespace, header.Key, header.Value); err != nil {
		return failure(err)
	}
	return success()
}

func (s *Server) deleteKVConfig(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.DeleteKVConfigRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	if err := s.kv.Delete(header.Namespace, header.Key); err != nil {
		return failure(err)
	}
	return success()
}

func (s *Server) getConfig(*remoting.Conn, *remoting.Command) *remoting.Command {
	resp := success()
	resp.Body = properties.Format(properties.Entries(s.config.Load()))
	return resp
}

// updateConfig changes settings for good: those that matter at start only count from the next start on. Unknown keys have
// no effect, as with Java; a value that does not fit changes nothing at all, where Java skips it in silence.
func (s *Server) updateConfig(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	entries, err := properties.Parse("", req.Body)
	if err != nil {
		return failure(err)
	}
	s.updating.Lock()
	defer s.updating.Unlock()
	config := *s.config.Load()
	var keys []string
	for _, e := range entries {
		if config.fixed(e.Key) {
			return remoting.NewResponse(protocol.NoPermission, "Can not update config in black list.")
		}
		known, err := properties.Set(&config, e.Key, e.Value)
		if err != nil {
			return failure(fmt.Errorf("property %s: %w", e.Key, err))
		}
		if known && !slices.Contains(keys, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	if err := config.Validate(); err != nil {
		return failure(err)
	}
	if err := writeFile(config.FS, config.ConfigStorePath, properties.Format(properties.Entries(&config))); err != nil {
		return failure(fmt.Errorf("settings: %w", err))
	}
	s.config.Store(&config)
	s.routes.Lock()
	s.routes.table.Configure(config.tableOptions())
	s.routes.Unlock()
	config.Listener.ConfigChanged(conn.RemoteAddr(), keys)
	return success()
}

// writeFile makes the folder too, which after an installation is not there.
func writeFile(fsys vfs.FS, path string, data []byte) error {
	if err := vfs.MakeDirs(fsys, filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(fsys, path, data)
}

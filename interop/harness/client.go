package harness

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
)

// Client is a client of one version, from which agents are started.
type Client struct {
	Name string
	Java bool

	program func(class string) ([]string, error)
	exec    []string // before the command line
}

// JavaClient is the Java client of the version that root/name/pom.xml asks for.
func JavaClient(root, name, version string) *Client {
	project := newProject(root, name, "src")
	return &Client{Name: "java-" + version, Java: true, program: func(class string) ([]string, error) {
		classPath, err := project.classPath()
		// One tier of compilation: these programs live for seconds, beside others, on few cores.
		return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath, "rocketlog." + class}, err
	}}
}

// With is the Java client with settings of its own, as Java's -D takes them.
func (c *Client) With(name string, properties ...string) *Client {
	return &Client{Name: name, Java: true, program: func(class string) ([]string, error) {
		argv, err := c.program(class)
		if err != nil {
			return nil, err
		}
		for _, p := range properties {
			argv = append(argv[:1:1], append([]string{"-D" + p}, argv[1:]...)...)
		}
		return argv, nil
	}}
}

// At is the client as it runs at a node.
func (c *Client) At(n *Node) *Client {
	at := *c
	at.exec = n.Exec()
	return &at
}

// GoClient is rocketmq-client-go, built from goclient/ into bin.
func GoClient(module, bin, version string) *Client {
	build := sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./goclient/...")
		cmd.Dir = module
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
		return nil
	})
	return &Client{Name: "go-" + version, program: func(name string) ([]string, error) {
		return []string{filepath.Join(bin, name)}, build()
	}}
}

// Start starts an agent whose log and state go to dir.
func (c *Client) Start(nameServer, dir, name string) (*Agent, error) {
	class := "agent"
	if c.Java {
		class = "interop.Agent"
	}
	cmd, err := c.command(class, dir, name, nameServer)
	if err != nil {
		return nil, err
	}
	return StartAgent(c.Name, cmd)
}

// Quickstart starts one of the quick start programs: "producer" or "consumer".
func (c *Client) Quickstart(role, nameServer, dir string, args ...string) (*Process, error) {
	program := role
	if c.Java {
		program = map[string]string{"producer": "quickstart.Producer", "consumer": "quickstart.Consumer"}[role]
	}
	cmd, err := c.command(program, dir, "quickstart-"+role, args...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "NAMESRV_ADDR="+nameServer)
	return cmd.Start()
}

func (c *Client) command(program, dir, name string, args ...string) (Command, error) {
	argv, err := c.program(program)
	if err != nil {
		return Command{}, err
	}
	if c.Java {
		argv = append([]string{argv[0], "-Duser.home=" + dir}, argv[1:]...)
	}
	return Command{Name: c.Name + "-" + name, Argv: append(append(c.exec[:len(c.exec):len(c.exec)], argv...), args...), Logs: dir, Dir: dir}, nil
}

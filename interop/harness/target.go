package harness

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Place is where a broker and its name server live. A cluster restarted at
// the same place has the same ports, names and store, whoever runs it.
type Place struct {
	Dir            string // store/, logs and configuration go below it
	NameServerPort int
	BrokerPort     int // with it go port-2 and port+1
	HTTPPort       int // where our name server tells its address by HTTP
	Properties     map[string]string
	// Others are name servers besides its own that the broker registers with.
	Others []string
	// Node is where its programs run; nil is this machine.
	Node *Node
}

// host is the address of its programs.
func (p Place) host() string {
	if p.Node == nil {
		return "127.0.0.1"
	}
	return p.Node.Addr.String()
}

// argv is the command line that starts a program there.
func (p Place) argv(argv ...string) []string {
	if p.Node == nil {
		return argv
	}
	return append(p.Node.Exec(), argv...)
}

// NewPlace chooses free ports for a place below dir.
func NewPlace(dir string, properties map[string]string) (Place, error) {
	p := Place{Dir: dir, Properties: properties}
	var err error
	if p.NameServerPort, err = freePort(0); err != nil {
		return p, err
	}
	if p.HTTPPort, err = freePort(0); err != nil {
		return p, err
	}
	p.BrokerPort, err = freePort(-2, 0, 1)
	return p, err
}

// Store is the broker's storePathRootDir.
func (p Place) Store() string { return filepath.Join(p.Dir, "store") }

// NameServer is the address that clients are given.
func (p Place) NameServer() string { return fmt.Sprintf("%s:%d", p.host(), p.NameServerPort) }

// NameServers are all name servers of the broker, as RocketMQ writes a list.
func (p Place) NameServers() string {
	return strings.Join(append([]string{p.NameServer()}, p.Others...), ";")
}

// HTTP is where clients may ask for our name server.
func (p Place) HTTP() string {
	return fmt.Sprintf("http://%s:%d/rocketmq/nsaddr", p.host(), p.HTTPPort)
}

// Broker is the address that the broker announces.
func (p Place) Broker() string { return fmt.Sprintf("%s:%d", p.host(), p.BrokerPort) }

// brokerProperties is the configuration file of either make.
func (p Place) brokerProperties(more map[string]string) map[string]string {
	props := map[string]string{
		"brokerClusterName": "DefaultCluster", "brokerName": "broker-a", "brokerId": "0", "brokerIP1": p.host(), "brokerIP2": p.host(),
		"listenPort":            fmt.Sprint(p.BrokerPort),
		"storePathRootDir":      p.Store(),
		"storePathCommitLog":    filepath.Join(p.Store(), "commitlog"),
		"autoCreateTopicEnable": "true", "enablePropertyFilter": "true",
		// Small against the default of 1 GiB: many brokers run side by side on one disk.
		"mappedFileSizeCommitLog": fmt.Sprint(64 << 20),
	}
	maps.Copy(props, more)
	maps.Copy(props, p.Properties)
	return props
}

func writeProperties(name string, props map[string]string) error {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(props)) {
		fmt.Fprintf(&b, "%s=%s\n", k, props[k])
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// Target is one make of name server and broker.
type Target interface {
	Name() string
	// StartNameServer returns nil when the broker brings the name server along.
	StartNameServer(Place) (*Process, error)
	StartBroker(Place) (*Process, error)
}

// Java is the real thing.
type Java struct{ project *javaProject }

// NewJava takes the folder interop/java.
func NewJava(root string) *Java {
	return &Java{newProject(root, "server", filepath.Join("server", "src"))}
}

// Name implements Target.
func (*Java) Name() string { return "java" }

func (j *Java) start(p Place, name, main string, jvm []string, args ...string) (*Process, error) {
	classPath, err := j.project.classPath()
	if err != nil {
		return nil, err
	}
	argv := []string{"java", "-Duser.home=" + p.Dir,
		"--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
		"--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"}
	argv = append(append(append(argv, jvm...), "-cp", classPath, main), args...)
	return Command{Name: name, Argv: p.argv(argv...), Env: []string{"ROCKETMQ_HOME=" + p.Dir}, Logs: p.Dir}.Start()
}

// program starts a small Java program of ours, which takes lines on its Stdin and answers in its log.
func (j *Java) program(name, dir, class string, args ...string) (*Process, error) {
	classPath, err := j.project.classPath()
	if err != nil {
		return nil, err
	}
	argv := append([]string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.home=" + dir, "-Drocketmq.home.dir=" + dir,
		"--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED", "--add-opens=java.base/java.nio=ALL-UNNAMED",
		"--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-cp", classPath, "rocketlog.interop." + class}, args...)
	return Command{Name: name, Argv: argv, Dir: dir, Logs: dir, Stdin: true}.Start()
}

// StartAdmin starts the official admin tool: a line of commands on its Stdin
// is answered in its log, and then by a line "== end".
func (j *Java) StartAdmin(p Place) (*Process, error) {
	return j.program("mqadmin", p.Dir, "Admin", p.NameServer())
}

// StartSwitch starts RocketMQ's store with its auto-switch HA, whose role is
// told by lines on its Stdin, each of which is answered in its log.
func (j *Java) StartSwitch(dir string, id int64, haPort, fileSize int) (*Process, error) {
	return j.program("java-switch", dir, "Switch", filepath.Join(dir, "store"), fmt.Sprint(id), fmt.Sprint(haPort), fmt.Sprint(fileSize))
}

// StartController starts RocketMQ's controller, the only one of its group, and says where it serves. Lines on its Stdin
// let it have deputies for brokers without a client of a controller; each is answered in its log.
func (j *Java) StartController(dir string) (p *Process, addr string, err error) {
	port, err := freePort(0)
	if err != nil {
		return nil, "", err
	}
	addr = fmt.Sprintf("127.0.0.1:%d", port)
	conf := filepath.Join(dir, "controller.properties")
	if err := writeProperties(conf, map[string]string{
		"controllerDLegerGroup": "controllers", "controllerDLegerSelfId": "n0", "controllerDLegerPeers": fmt.Sprintf("n0-127.0.0.1:%d", port),
		"controllerStorePath": filepath.Join(dir, "controller"), "mappedFileSize": fmt.Sprint(4 << 20),
	}); err != nil {
		return nil, "", err
	}
	p, err = j.program("java-controller", dir, "Controller", conf, addr)
	return p, addr, err
}

// StartNameServer implements Target.
func (j *Java) StartNameServer(p Place) (*Process, error) {
	conf := filepath.Join(p.Dir, "namesrv.properties")
	if err := writeProperties(conf, map[string]string{"listenPort": fmt.Sprint(p.NameServerPort)}); err != nil {
		return nil, err
	}
	return j.start(p, "java-namesrv", "org.apache.rocketmq.namesrv.NamesrvStartup",
		[]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, "-c", conf)
}

// StartBroker implements Target.
func (j *Java) StartBroker(p Place) (*Process, error) {
	conf := filepath.Join(p.Dir, "java-broker.properties")
	if err := writeProperties(conf, p.brokerProperties(map[string]string{
		"namesrvAddr": p.NameServers(),
		// On a busy machine a Java broker refuses what waited 200 ms; these tests are not about that.
		"brokerFastFailureEnable": "false",
	})); err != nil {
		return nil, err
	}
	// One tier of compilation: it lives for a minute or two, beside others, on few cores.
	return j.start(p, "java-broker", "org.apache.rocketmq.broker.BrokerStartup",
		[]string{"-Xms128m", "-Xmx512m", "-XX:MaxDirectMemorySize=512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}, "-c", conf)
}

// Ours is rocketlog, built from the parent module.
type Ours struct {
	split  bool
	module string // the parent module's folder
	bin    string

	once sync.Once
	err  error
}

// NewOurs takes the parent module's folder and a folder for the binaries.
// With split the name server is a process of its own, otherwise the broker
// brings it along.
func NewOurs(module, bin string, split bool) *Ours {
	return &Ours{split: split, module: module, bin: bin}
}

// Name implements Target.
func (o *Ours) Name() string {
	if o.split {
		return "split"
	}
	return "ours"
}

func (o *Ours) build() error {
	o.once.Do(func() {
		cmd := exec.Command("go", "build", "-o", o.bin+string(filepath.Separator), "./cmd/...")
		cmd.Dir = o.module
		if out, err := cmd.CombinedOutput(); err != nil {
			o.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	return o.err
}

// StartNameServer implements Target.
func (o *Ours) StartNameServer(p Place) (*Process, error) {
	if err := o.build(); err != nil || !o.split {
		return nil, err
	}
	conf := filepath.Join(p.Dir, "nameserver.properties")
	if err := writeProperties(conf, map[string]string{
		"listenPort":         fmt.Sprint(p.NameServerPort),
		"addressServerPort":  fmt.Sprint(p.HTTPPort),
		"addressServerAddrs": p.NameServer(),
		// Of brokers that ask for it.
		"supportActingMaster": "true",
	}); err != nil {
		return nil, err
	}
	return Command{Name: "nameserver", Argv: p.argv(filepath.Join(o.bin, "nameserver"), "-c", conf), Env: []string{"HOME=" + p.Dir}, Logs: p.Dir, Dir: p.Dir}.Start()
}

// StartBroker implements Target.
func (o *Ours) StartBroker(p Place) (*Process, error) {
	if err := o.build(); err != nil {
		return nil, err
	}
	argv := []string{filepath.Join(o.bin, "broker"), "-c", filepath.Join(p.Dir, "broker.properties")}
	more := map[string]string{}
	if o.split {
		argv = append(argv, "-n", p.NameServers())
	} else {
		more["namesrvListenPort"] = fmt.Sprint(p.NameServerPort)
	}
	if err := writeProperties(argv[2], p.brokerProperties(more)); err != nil {
		return nil, err
	}
	return Command{Name: "broker", Argv: p.argv(argv...), Env: []string{"HOME=" + p.Dir}, Logs: p.Dir, Dir: p.Dir}.Start()
}

// CheckStore has our offline tool prove the files of the stopped broker at
// the place, whoever wrote them, against each other.
func (o *Ours) CheckStore(p Place) error {
	if err := o.build(); err != nil {
		return err
	}
	conf := filepath.Join(p.Dir, "check.properties")
	if err := writeProperties(conf, p.brokerProperties(nil)); err != nil {
		return err
	}
	if out, err := exec.Command(filepath.Join(o.bin, "mqadmin"), "store", "check", "-c", conf, p.Store()).CombinedOutput(); err != nil {
		return fmt.Errorf("mqadmin store check: %w\n%s", err, out)
	}
	return nil
}

// SetRole tells the broker at the place who is master of its name under an epoch.
func (o *Ours) SetRole(p Place, masterID int64, epoch int) error {
	_, err := o.Admin(p, "setBrokerRole", "-b", p.Broker(), "-m", fmt.Sprint(masterID), "-e", fmt.Sprint(epoch))
	return err
}

// Admin gives what our admin tool prints of the name servers of the place.
func (o *Ours) Admin(p Place, args ...string) (string, error) {
	if err := o.build(); err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(o.bin, "mqadmin"), args...)
	cmd.Env = append(os.Environ(), "NAMESRV_ADDR="+p.NameServers())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mqadmin %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Mixed has the name server of one make and the broker of another.
type Mixed struct {
	Title              string
	NameServer, Broker Target
}

// Name implements Target.
func (m Mixed) Name() string { return m.Title }

// StartNameServer implements Target.
func (m Mixed) StartNameServer(p Place) (*Process, error) { return m.NameServer.StartNameServer(p) }

// StartBroker implements Target.
func (m Mixed) StartBroker(p Place) (*Process, error) { return m.Broker.StartBroker(p) }

// Cluster is a broker with its name server, running.
type Cluster struct {
	Place
	Target Target

	nameServer *Process // nil when the broker brings it along
	broker     *Process
}

// startTimeout bounds how long a broker may take until the name server knows it.
const startTimeout = 3 * time.Minute

// StartCluster starts both and waits until the name server knows the broker.
func StartCluster(t Target, p Place) (*Cluster, error) {
	c := &Cluster{Place: p, Target: t}
	var err error
	if c.nameServer, err = t.StartNameServer(p); err != nil {
		return nil, err
	}
	if c.nameServer != nil {
		if err := c.await(c.nameServer, func() error { return probe(p.NameServer()) }); err != nil {
			c.Close()
			return nil, err
		}
	}
	if err := c.StartBroker(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// StartBroker starts the broker, again after StopBroker or KillBroker.
func (c *Cluster) StartBroker() error {
	var err error
	if c.broker, err = c.Target.StartBroker(c.Place); err != nil {
		return err
	}
	return c.await(c.broker, func() error {
		if err := probe(c.Broker()); err != nil {
			return err
		}
		return routed(c.NameServer(), c.Broker())
	})
}

// KnownAt waits until a name server knows the broker.
func (c *Cluster) KnownAt(nameServer string) error {
	return c.await(c.broker, func() error { return routed(nameServer, c.Broker()) })
}

func (c *Cluster) await(p *Process, ready func() error) error {
	deadline := time.Now().Add(startTimeout)
	for {
		err := ready()
		select {
		case <-p.Ended(): // even if something answers in its place
			return fmt.Errorf("%s ended with code %d at its start:\n%s", p.Name, p.ExitCode(), p.Tail(4000))
		default:
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s not ready in %v: %w\n%s", p.Name, startTimeout, err, p.Tail(4000))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// BrokerProcess is the running broker.
func (c *Cluster) BrokerProcess() *Process { return c.broker }

// StopBroker stops the broker cleanly.
func (c *Cluster) StopBroker() error { return c.broker.Stop(40 * time.Second) }

// KillNameServer is kill -9 of a name server that is a process of its own.
func (c *Cluster) KillNameServer() { c.nameServer.Kill() }

// KillBroker is kill -9.
func (c *Cluster) KillBroker() { c.broker.Kill() }

// Stop stops both cleanly.
func (c *Cluster) Stop() error {
	err := c.StopBroker()
	if c.nameServer != nil {
		err = errors.Join(err, c.nameServer.Stop(20*time.Second))
	}
	return err
}

// Close kills what still runs.
func (c *Cluster) Close() {
	for _, p := range []*Process{c.broker, c.nameServer} {
		if p != nil {
			p.Kill()
		}
	}
}

// Tails shows the ends of the logs, for a failed test.
func (c *Cluster) Tails(n int64) string {
	var b strings.Builder
	for _, p := range []*Process{c.nameServer, c.broker} {
		if p != nil {
			fmt.Fprintf(&b, "--- %s\n%s\n", p.Log, p.Tail(n))
		}
	}
	return b.String()
}

//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"
)

// ociSeccomp is a seccomp profile as docker, podman, containerd and CRI-O read it.
type ociSeccomp struct {
	DefaultAction   string
	DefaultErrnoRet uint32
	Syscalls        []struct {
		Names    []string
		Action   string
		ErrnoRet uint32
		Args     []struct {
			Index    uint32
			Value    uint64
			ValueTwo uint64
			Op       string
		}
	}
}

const deployFolder = "../docs/deploy"

func readSeccomp(t *testing.T) (p ociSeccomp) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, "seccomp.json"))
	must(t, err)
	d := json.NewDecoder(strings.NewReader(string(text)))
	must(t, d.Decode(&p))
	return p
}

// allows reports whether the profile allows a call whatever its arguments.
func (p *ociSeccomp) allows(name string) bool {
	for _, rule := range p.Syscalls {
		if rule.Action == "SCMP_ACT_ALLOW" && len(rule.Args) == 0 && slices.Contains(rule.Names, name) {
			return true
		}
	}
	return false
}

// program makes the filter of it that libseccomp would make. Names that this architecture does not have are left out.
func (p *ociSeccomp) program(t *testing.T) []unix.SockFilter {
	t.Helper()
	const load, equal, and, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	action := func(name string, errno uint32) uint32 {
		switch name {
		case "SCMP_ACT_ALLOW":
			return unix.SECCOMP_RET_ALLOW
		case "SCMP_ACT_ERRNO":
			return unix.SECCOMP_RET_ERRNO | errno
		}
		t.Fatalf("action %s", name)
		return 0
	}
	numbers := systemCalls(t)
	filter := []unix.SockFilter{{Code: load, K: 0}}
	for _, rule := range p.Syscalls {
		for _, name := range rule.Names {
			number, known := numbers[name]
			if !known {
				continue
			}
			body := []unix.SockFilter{{Code: ret, K: action(rule.Action, rule.ErrnoRet)}}
			for _, a := range rule.Args {
				if a.Op != "SCMP_CMP_MASKED_EQ" || a.Value>>32 != 0 || a.ValueTwo>>32 != 0 {
					t.Fatalf("%s: argument %+v", name, a)
				}
				body = append([]unix.SockFilter{
					{Code: load, K: 16 + 8*a.Index}, {Code: and, K: uint32(a.Value)}, {Code: equal, K: uint32(a.ValueTwo), Jf: uint8(len(body))},
				}, body...)
				body = append(body, unix.SockFilter{Code: load, K: 0}) // the number, for the next rule
			}
			filter = append(append(filter, unix.SockFilter{Code: equal, K: number, Jf: uint8(len(body))}), body...)
		}
	}
	return append(filter, unix.SockFilter{Code: ret, K: action(p.DefaultAction, p.DefaultErrnoRet)})
}

var numberLine = regexp.MustCompile(`(?m)^\tSYS_([A-Z0-9_]+)\s*= (\d+)`)

// systemCalls are the numbers of this architecture, from the table of golang.org/x/sys.
func systemCalls(t *testing.T) map[string]uint32 {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_"+runtime.GOARCH+".go"))
	must(t, err)
	out := make(map[string]uint32)
	for _, m := range numberLine.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		must(t, err)
		out[strings.ToLower(m[1])] = uint32(n)
	}
	return out
}

// Under the profile of docs/deploy, as a real filter, all that the profiler does works and nothing is noted; what it says it
// forbids is forbidden.
func TestDeploySeccomp(t *testing.T) {
	p := readSeccomp(t)
	filter := p.program(t)
	for _, d := range []Delivery{DeliveryThread, DeliverySignal} {
		inChild(t, "TestDeploySeccomp", d.String(), []string{testproc.DeliveryEnv + "=" + d.String()}, func(t *testing.T) {
			install(t, filter)
			if err := unix.Unshare(unix.CLONE_NEWUTS); err != unix.EPERM {
				t.Errorf("a name space of its own: %v, want %v", err, unix.EPERM)
			}
			if _, err := os.StartProcess("/proc/self/exe", []string{"x", "-test.run=^$"}, &os.ProcAttr{}); err != nil {
				t.Errorf("start a process: %v", err)
			}
			pr := newProfiler(t)
			var c core
			c.attach(t, pr)
			c.use(t, pr)
			c.checkContents(t, "armed")
			s := pr.Snapshot()
			if len(c.errs) > 0 || s.Stats.Faults == 0 || notesSay(s, "refused") {
				t.Errorf("%v; %d faults, notes %q", c.errs, s.Stats.Faults, s.Stats.Notes)
			}
			closeBusy(t, pr.Close)
			c.checkContents(t, "closed")
			t.Logf("seen: %d faults", s.Stats.Faults)
		})
	}
	for _, c := range calls.List() {
		if name := c.System(); name != "clone" && !p.allows(name) {
			t.Errorf("seccomp.json does not allow %s", name)
		}
	}
	if !p.allows("userfaultfd") {
		t.Error("seccomp.json does not allow userfaultfd")
	}
}

// The unit of docs/deploy is one that systemd takes, and its filter allows what the list has.
func TestDeployUnit(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployFolder, "app.service"))
	must(t, err)
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed: apt-get install systemd")
	}
	path := filepath.Join(t.TempDir(), "app.service")
	must(t, os.WriteFile(path, []byte(strings.Replace(string(text), "/usr/local/bin/app", "/bin/true", 1)), 0o600))
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	value := func(name string) []string {
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, name+"="); ok {
				return strings.Fields(v)
			}
		}
		t.Errorf("the unit has no %s=", name)
		return nil
	}
	allowed := make(map[string]bool)
	var expand func(name string)
	expand = func(name string) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = true
			return
		}
		out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager", name).Output()
		must(t, err)
		for _, line := range strings.Split(string(out), "\n")[1:] {
			if word := strings.TrimSpace(line); word != "" && word[0] != '#' && !allowed[word] {
				allowed[word] = true
				expand(word)
			}
		}
	}
	for _, name := range value("SystemCallFilter") {
		expand(name)
	}
	for _, c := range append([]string{"userfaultfd"}, names(calls.List())...) {
		if !allowed[c] {
			t.Errorf("SystemCallFilter= does not allow %s", c)
		}
	}
	if v := value("DeviceAllow"); !slices.Equal(v, []string{"/dev/userfaultfd", "r"}) {
		t.Errorf("DeviceAllow=%q", v)
	}
	if v := value("SystemCallErrorNumber"); !slices.Equal(v, []string{"EPERM"}) {
		t.Errorf("SystemCallErrorNumber=%q: without one the filter kills", v)
	}
}

func names(list []calls.Call) (out []string) {
	for _, c := range list {
		out = append(out, c.System())
	}
	return out
}

// The pod of docs/deploy asks for what this page and the plugin's call the same.
func TestDeployPod(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployFolder, "kubernetes.yaml"))
	must(t, err)
	var pod struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       struct {
			SecurityContext struct {
				RunAsNonRoot       bool  `yaml:"runAsNonRoot"`
				SupplementalGroups []int `yaml:"supplementalGroups"`
				SeccompProfile     struct {
					Type             string
					LocalhostProfile string `yaml:"localhostProfile"`
				} `yaml:"seccompProfile"`
			} `yaml:"securityContext"`
			Containers []struct {
				Resources struct{ Limits map[string]string }
			}
		}
	}
	must(t, yaml.Unmarshal(text, &pod))
	c := pod.Spec.SecurityContext
	if pod.APIVersion != "v1" || pod.Kind != "Pod" || !c.RunAsNonRoot || len(c.SupplementalGroups) != 1 || len(pod.Spec.Containers) != 1 ||
		c.SeccompProfile.Type != "Localhost" || !strings.Contains(string(text), "/var/lib/kubelet/seccomp/"+c.SeccompProfile.LocalhostProfile) {
		t.Errorf("the pod is %+v", pod)
	}
	for resource := range pod.Spec.Containers[0].Resources.Limits {
		if !strings.Contains(string(text), "offers "+resource+".") || pod.Spec.Containers[0].Resources.Limits[resource] != "1" {
			t.Errorf("nobody offers %s", resource)
		}
	}
}

// Who may read the device, by its group, has everything: a device of mode 0440 and a supplementary group are enough for an
// ordinary user.
func TestReadingTheDeviceIsEnough(t *testing.T) {
	const env, group = "FIRSTTOUCH_TEST_DEVICE", 4711
	switch os.Getenv(env) {
	case "":
		if os.Getuid() != 0 {
			t.Skip("only root can make a device")
		}
		testproc.Run(t, t.Name(), []string{env + "=make"}, time.Minute, func(_ *testing.T, c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
		})
		return
	case "make":
		var st unix.Stat_t
		if err := unix.Stat("/dev/userfaultfd", &st); err != nil {
			t.Skipf("Only root can use userfaultfd here: no device: %v", err)
		}
		must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		dir := t.TempDir()
		must(t, unix.Mount("none", dir, "tmpfs", 0, ""))
		node := filepath.Join(dir, "userfaultfd")
		must(t, unix.Mknod(node, unix.S_IFCHR|0o440, int(st.Rdev)))
		must(t, os.Chown(node, 0, group))
		must(t, unix.Mount(node, "/dev/userfaultfd", "", unix.MS_BIND, ""))
		defer unix.Unmount(dir, unix.MNT_DETACH)
		testproc.Run(t, t.Name(), []string{env + "=use"}, time.Minute, testproc.AsUser(65534), func(_ *testing.T, c *exec.Cmd) {
			c.SysProcAttr.Credential.Groups = []uint32{group}
		})
		return
	}
	if err := unix.Access("/dev/userfaultfd", unix.W_OK); err == nil {
		t.Fatal("the device can be written to")
	}
	p := newProfiler(t)
	var c core
	c.attach(t, p)
	c.use(t, p)
	c.checkContents(t, "armed")
	if s := p.Snapshot(); s.Stats.UserModeOnly != (testDelivery() == DeliverySignal) || len(c.errs) > 0 || s.Stats.Faults == 0 {
		t.Errorf("user mode only: %v, %d faults, %v, notes %q", s.Stats.UserModeOnly, s.Stats.Faults, c.errs, s.Stats.Notes)
	}
}

package main

import "strings"

// service is a program in the directory of its name.
type service struct {
	name   string
	module string // of the library, or empty
	system string // a library that is no Go module
	about  string
	files  []string // patterns of what is observed, in its directory
	memory bool     // what is observed is in no file
	quick  bool     // quick to compile and to run
	needs  string   // what may be missing where it cannot be compiled
	// refused is what the notes say while nothing can be observed, in the first stage; empty where all can.
	refused string
	// excuses are why a cell is not as it should be through no fault of the profiler.
	excuses []excuse
}

// excuse says whose fault it is, for the runs that it matches: empty fields match all.
type excuse struct {
	load, user, mode string
	why              string
}

func (s *service) excuse(k key) string {
	for _, e := range s.excuses {
		if (e.load == "" || e.load == k.Load) && (e.user == "" || e.user == k.User) && (e.mode == "" || e.mode == k.Mode) {
			return e.why
		}
	}
	return ""
}

func names() string {
	var list []string
	for _, s := range services {
		list = append(list, s.name)
	}
	return strings.Join(list, ", ")
}

var services = []service{
	{
		name: "maxmind", module: "github.com/oschwald/maxminddb-golang/v2", files: []string{"*.mmdb"}, quick: true,
		about: "400 addresses are looked up in a database of 60,000 networks, which mmdbwriter has made. Then a new file takes its name, and a new reader the old one's place.",
	},
	{
		name: "shortlived", files: []string{"*.seg"}, quick: true,
		about: "50 files are mapped and read. Then 19 times 50 others take their place, each for 50 ms, with a name of its own.",
	},
}

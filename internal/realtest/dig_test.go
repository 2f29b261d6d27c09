package realtest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// dig is as much of the command of that name as pages of the documentation need,
// so that their test does not depend on what is installed:
// dig +short @ADDRESS -p PORT NAME TYPE.
func dig(args []string) {
	kind, name, server, port := dns.TypeA, "", "", "53"
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "+short":
		case arg == "-p" && i+1 < len(args):
			i++
			port = args[i]
		case strings.HasPrefix(arg, "@"):
			server = arg[1:]
		case dns.StringToType[arg] != 0:
			kind = dns.StringToType[arg]
		default:
			name = dns.Fqdn(arg)
		}
	}
	client := dns.Client{Timeout: 10 * time.Second}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, kind), net.JoinHostPort(server, port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(9)
	}
	for _, rr := range answer.Answer {
		fmt.Println(strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
}

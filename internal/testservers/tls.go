package testservers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// SecureServer is a server that speaks TLS alone and wants a name and password.
type SecureServer struct {
	Addr     string // host:port; the certificate is good for 127.0.0.1 and localhost
	Username string
	Password string      // has characters that must be escaped in a URL
	CAFile   string      // path of the certificate, in PEM, that signed the server's
	TLS      *tls.Config // trusts CAFile; the caller's own
}

// RedisTLS returns a redis-server that all tests share. Its default user is
// off; Username may use every key and channel, and every command that is not
// dangerous in the sense of Redis (no FLUSHALL, KEYS, CONFIG, …), as on a
// hosted Redis.
func RedisTLS(t testing.TB) *SecureServer {
	t.Helper()
	s := *shared(t, secureRedis, "redis-server")
	s.TLS = s.TLS.Clone()
	return &s
}

var secureRedis = sync.OnceValues(func() (*SecureServer, error) {
	dir, err := newDir("tls")
	if err != nil {
		return nil, err
	}
	pool, err := writeCertificates(dir)
	if err != nil {
		return nil, err
	}
	s := &SecureServer{
		Username: "app",
		Password: rand.Text() + "@:/?#%+",
		CAFile:   filepath.Join(dir, "ca.pem"),
		TLS:      &tls.Config{RootCAs: pool},
	}
	i, err := spec{
		command: func(data string, port int) []string {
			return []string{
				"redis-server", "--port", "0", "--tls-port", strconv.Itoa(port), "--bind", "127.0.0.1",
				"--tls-ca-cert-file", s.CAFile, "--tls-auth-clients", "no",
				"--tls-cert-file", filepath.Join(dir, "server.pem"), "--tls-key-file", filepath.Join(dir, "server.key"),
				"--dir", data, "--save", "", "--appendonly", "no", "--user", "default", "off",
				"--user", s.Username, "on", ">" + s.Password, "~*", "&*", "+@all", "-@dangerous", "+client", "+info",
			}
		},
		identify: func(i *instance) (int, error) {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: answerTime}, "tcp", i.addr(), s.TLS)
			return redisPID(conn, err, "AUTH "+s.Username+" "+s.Password)
		},
	}.start("redis-tls", freePort)
	if err != nil {
		return nil, err
	}
	s.Addr = i.addr()
	return s, nil
})

// writeCertificates writes ca.pem, server.pem and server.key, and returns a
// pool that holds the first.
func writeCertificates(dir string) (*x509.CertPool, error) {
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "test server"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	serverKey, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	caDER, err1 := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	serverDER, err2 := x509.CreateCertificate(rand.Reader, server, ca, serverKey.Public(), caKey)
	keyDER, err3 := x509.MarshalPKCS8PrivateKey(serverKey)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
	return pool, errors.Join(
		writePEM(filepath.Join(dir, "ca.pem"), "CERTIFICATE", caDER),
		writePEM(filepath.Join(dir, "server.pem"), "CERTIFICATE", serverDER),
		writePEM(filepath.Join(dir, "server.key"), "PRIVATE KEY", keyDER),
	)
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

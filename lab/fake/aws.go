package fake

import (
	"sync"
	"time"
)

// account is the number of the only AWS account there is.
const account = "123456789012"

// AWS is the keys and roles of an account.
type AWS struct {
	Region string
	// AccessKeyID and SecretAccessKey are a user's, which do not expire.
	AccessKeyID, SecretAccessKey string
	// RoleARN may be assumed by that user, and by tokens of World.Cluster for
	// Subject and the audience sts.amazonaws.com.
	RoleARN, Subject string
	// InstanceRole is the role that the metadata server has keys for.
	InstanceRole string

	mu   sync.Mutex
	keys map[string]awsKey
}

type awsKey struct {
	secret, session, subject string
	expires                  time.Time // zero for never
}

func newAWS() *AWS {
	a := &AWS{
		Region: region, AccessKeyID: "AKIALAB" + upper(13), SecretAccessKey: secret() + secret()[:8],
		RoleARN: "arn:aws:iam::" + account + ":role/egret", Subject: "system:serviceaccount:egret-system:egret", InstanceRole: "egret-node",
		keys: map[string]awsKey{},
	}
	a.keys[a.AccessKeyID] = awsKey{secret: a.SecretAccessKey, subject: "arn:aws:iam::" + account + ":user/egret"}
	return a
}

func (a *AWS) find(id string) (awsKey, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, ok := a.keys[id]
	return key, ok
}

// Revoke makes an access key unknown from now on.
func (a *AWS) Revoke(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.keys, id)
}

// issue makes a temporary key.
func (a *AWS) issue(subject string, expires time.Time) (id string, key awsKey) {
	id = "ASIALAB" + upper(13)
	key = awsKey{secret: secret() + secret()[:8], session: "FwoGZXlab" + secret() + secret(), subject: subject, expires: expires}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[id] = key
	return id, key
}

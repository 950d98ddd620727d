package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

const upsertAgent = `
INSERT INTO singularity.agents AS agent (name, kind, boot, epoch, registered_at)
VALUES ($1, $2, $3, 1, now())
ON CONFLICT (name) DO UPDATE
SET kind = excluded.kind, boot = excluded.boot, epoch = agent.epoch + 1, registered_at = excluded.registered_at
WHERE agent.boot = excluded.boot
	OR $4::boolean AND agent.kind = 'attached' AND excluded.kind = 'attached'
	OR NOT EXISTS (SELECT FROM singularity.node_leases AS lease WHERE lease.boot = agent.boot AND lease.ended_at IS NULL)
RETURNING epoch`

// RegisterAgent implements [persistence.Agents].
func (s *Store) RegisterAgent(ctx context.Context, agent persistence.Agent, replace bool) (epoch int64, err error) {
	err = s.query(ctx, func(row scanner) error { return row.Scan(&epoch) },
		upsertAgent, agent.Name, string(agent.Kind), string(agent.Boot), replace)
	if err == nil && epoch == 0 {
		err = persistence.ErrAgentTaken
	}
	if err != nil {
		return 0, fmt.Errorf("register agent %q: %w", agent.Name, err)
	}
	return epoch, nil
}

const agentColumns = `
	agent.name, agent.kind, agent.boot, coalesce(lease.instance_id, agent.boot), (lease.boot IS NOT NULL AND lease.ended_at IS NULL),
	agent.epoch, agent.registered_at,
	(SELECT count(*) FROM singularity.agent_inbox AS message WHERE message.agent = agent.name AND message.done_at IS NULL)`

func scanAgent(row scanner) (persistence.Agent, error) {
	var agent persistence.Agent
	err := row.Scan(&agent.Name, (*string)(&agent.Kind), (*string)(&agent.Boot), &agent.Instance, &agent.Alive,
		&agent.Epoch, &agent.RegisteredAt, &agent.Waiting)
	agent.RegisteredAt = agent.RegisteredAt.UTC()
	return agent, err
}

const readAgent = `
SELECT ` + agentColumns + `
FROM singularity.agents AS agent
LEFT JOIN singularity.node_leases AS lease ON lease.boot = agent.boot
WHERE agent.name = $1`

// Agent implements [persistence.Agents].
func (s *Store) Agent(ctx context.Context, name string) (persistence.Agent, error) {
	var agent persistence.Agent
	found := false
	err := s.query(ctx, func(row scanner) (err error) {
		found = true
		agent, err = scanAgent(row)
		return err
	}, readAgent, name)
	if err == nil && !found {
		err = workflow.ErrAgentNotFound
	}
	if err != nil {
		return persistence.Agent{}, fmt.Errorf("agent %q: %w", name, err)
	}
	return agent, nil
}

const listAgents = `
SELECT ` + agentColumns + `
FROM singularity.agents AS agent
LEFT JOIN singularity.node_leases AS lease ON lease.boot = agent.boot
ORDER BY agent.name COLLATE "C"`

// Agents implements [persistence.Agents].
func (s *Store) Agents(ctx context.Context) ([]persistence.Agent, error) {
	var agents []persistence.Agent
	err := s.query(ctx, func(row scanner) error {
		agent, err := scanAgent(row)
		agents = append(agents, agent)
		return err
	}, listAgents)
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	return agents, nil
}

const readInbox = `
SELECT seq, agent, message_id, source, type, payload, arrived_at
FROM singularity.agent_inbox
WHERE agent = $1 AND seq > $2 AND done_at IS NULL
ORDER BY seq
LIMIT $3`

// Inbox implements [persistence.Agents].
func (s *Store) Inbox(ctx context.Context, agent string, after int64, limit int) ([]persistence.InboxMessage, error) {
	var messages []persistence.InboxMessage
	err := s.query(ctx, func(row scanner) error {
		var m persistence.InboxMessage
		err := row.Scan(&m.Seq, &m.Agent, &m.MessageID, &m.Source, &m.Type, &m.Payload, &m.ArrivedAt)
		m.ArrivedAt = m.ArrivedAt.UTC()
		messages = append(messages, m)
		return err
	}, readInbox, agent, after, max(limit, 0))
	if err != nil {
		return nil, fmt.Errorf("inbox of agent %q: %w", agent, err)
	}
	return messages, nil
}

// Messages are numbered under their agent's lock, which is held until the
// commit: a reader who has seen a number will not find a lower one later.
var lockInboxes = &statement{"lock_inboxes", `
SELECT pg_advisory_xact_lock(hashtextextended('singularity inbox ' || agent, 0))
FROM unnest($1::text[]) AS w (agent)`}

// queueInboxes locks all inboxes to which the batch adds, in order.
func (c *commit) queueInboxes() error {
	var agents []string
	for _, w := range c.posts {
		agents = append(agents, w.write.Message.Agent)
	}
	for _, w := range c.senders() {
		for _, m := range w.write.Entry.Messages {
			agents = append(agents, m.Agent)
		}
	}
	if len(agents) == 0 {
		return nil
	}
	slices.Sort(agents)
	agents = slices.Compact(agents)
	list := newArrays(len(agents), pgtype.TextOID)
	for _, agent := range agents {
		list.text(agent)
	}
	c.queue(lockInboxes, list.params(), nil)
	return nil
}

// A message comes with an entry of the same owner and epoch. One that is there
// already stays as it is.
var insertMessages = &statement{"insert_messages", `
INSERT INTO singularity.agent_inbox (agent, message_id, source, type, payload, run_id, arrived_at)
SELECT w.agent, w.message_id, w.source, w.type, w.payload, w.run_id, now()
FROM unnest(
	$1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
) WITH ORDINALITY AS w (run_id, seq, boot, epoch, agent, message_id, source, type, payload, n)
WHERE ` + entered + `
ORDER BY w.n
ON CONFLICT DO NOTHING`}

// queueMessages adds what steps send, in the order of the batch.
func (c *commit) queueMessages() error {
	senders := c.senders()
	if len(senders) == 0 {
		return nil
	}
	list := newArrays(len(senders), pgtype.UUIDOID, pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID,
		pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID)
	for _, sender := range senders {
		w := sender.write
		for _, m := range w.Entry.Messages {
			list.uuid(w.Run)
			list.int8(w.Seq + 1)
			list.text(string(w.Boot))
			list.int8(w.Epoch)
			addMessage(list, m)
		}
	}
	c.queue(insertMessages, list.params(), nil)
	return list.err
}

// senders are the advances that come with messages, in the order of the batch.
func (c *commit) senders() []placed[persistence.Advance] {
	var senders []placed[persistence.Advance]
	for _, w := range c.advances {
		if w.write.Entry != nil && len(w.write.Entry.Messages) > 0 {
			senders = append(senders, w)
		}
	}
	slices.SortFunc(senders, func(a, b placed[persistence.Advance]) int { return a.place - b.place })
	return senders
}

func addMessage(list *arrays, m workflow.Message) {
	list.text(m.Agent)
	list.text(m.ID)
	list.text(m.Source)
	list.text(m.Type)
	list.text(string(m.Payload))
}

var postMessages = &statement{"post_messages", `
WITH w AS MATERIALIZED (
	SELECT agent, message_id, source, type, payload, n
	FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
		WITH ORDINALITY AS w (agent, message_id, source, type, payload, n)
	WHERE (SELECT true FROM singularity.agents WHERE name = w.agent)
), posted AS (
	INSERT INTO singularity.agent_inbox (agent, message_id, source, type, payload, arrived_at)
	SELECT agent, message_id, source, type, payload, now()
	FROM w
	ORDER BY n
	ON CONFLICT DO NOTHING
)
SELECT n
FROM w`}

func (c *commit) queuePosts() error {
	if len(c.posts) == 0 {
		return nil
	}
	list := newArrays(len(c.posts), pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID)
	for _, w := range c.posts {
		addMessage(list, w.write.Message)
		c.verdicts[w.place].Err = workflow.ErrAgentNotFound
	}
	c.queue(postMessages, list.params(), func(row scanner) error {
		var n int64
		err := row.Scan(&n)
		if err == nil {
			c.verdicts[c.posts[n-1].place].Err = nil
		}
		return err
	})
	return list.err
}

// An agent's row is held so that it gets no other home meanwhile. A message
// that is done, or was never there, is none of the fence's business.
var finishMessages = &statement{"finish_messages", `
WITH home AS MATERIALIZED (
	SELECT name, epoch
	FROM singularity.agents
	WHERE name = ANY ($1::text[])
	ORDER BY name
	FOR SHARE
), w AS MATERIALIZED (
	SELECT w.agent, w.message_id, w.n
	FROM unnest($1::text[], $2::bigint[], $3::text[]) WITH ORDINALITY AS w (agent, epoch, message_id, n)
	WHERE ((w.agent, w.epoch) IN (SELECT name, epoch FROM home)) IS TRUE
), done AS (
	UPDATE singularity.agent_inbox AS message
	SET done_at = now()
	FROM w
	WHERE message.agent = ANY (ARRAY[w.agent]) AND message.message_id = w.message_id
		AND (message.done_at IS NULL) IS TRUE
)
SELECT n
FROM w`}

func (c *commit) queueFinished() error {
	if len(c.finished) == 0 {
		return nil
	}
	list := newArrays(len(c.finished), pgtype.TextOID, pgtype.Int8OID, pgtype.TextOID)
	for _, w := range c.finished {
		list.text(w.write.Agent)
		list.int8(w.write.Epoch)
		list.text(w.write.MessageID)
		c.verdicts[w.place].Err = persistence.ErrFenced
	}
	c.queue(finishMessages, list.params(), func(row scanner) error {
		var n int64
		err := row.Scan(&n)
		if err == nil {
			c.verdicts[c.finished[n-1].place].Err = nil
		}
		return err
	})
	return list.err
}

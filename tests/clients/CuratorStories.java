// Apache Curator and the official Java client against the real binary: what Kafka's, Solr's and Spark's
// users run. Arguments: the address or addresses, and `bear` if servers are killed meanwhile.

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;
import org.apache.zookeeper.server.quorum.flexible.QuorumMaj;
import org.apache.zookeeper.server.quorum.flexible.QuorumVerifier;

public class CuratorStories {
    /** What is awaited comes within this, or never. */
    private static final long PATIENCE_MS = 60_000;
    private static final int SESSION_MS = 10_000;

    private final String addresses;

    private CuratorStories(String addresses) {
        this.addresses = addresses;
    }

    private interface Story {
        void tell() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        CuratorStories stories = new CuratorStories(arguments[0]);
        boolean bears = arguments.length > 1 && arguments[1].equals("bear");
        int red = 0;
        red += stories.told("locks", stories::locks);
        red += stories.told("a latch", stories::latch);
        red += stories.told("caches", stories::caches);
        red += stories.told("a counter", stories::counter);
        if (!bears) {
            red += stories.told("a queue", stories::queue);
            red += stories.told("the tree", stories::tree);
            red += stories.told("transactions", stories::transactions);
            red += stories.told("access", stories::access);
            red += stories.told("a selector", stories::selector);
            red += stories.told("a lost session", stories::lostSession);
            red += stories.told("barriers", stories::barriers);
            red += stories.told("a group", stories::group);
            red += stories.told("the ensemble", stories::ensemble);
        }
        System.exit(red == 0 ? 0 : 1);
    }

    private int told(String name, Story story) {
        try {
            story.tell();
            System.out.println("Curator " + name + ": ok");
            return 0;
        } catch (Throwable error) {
            System.out.println("Curator " + name + ": FAILED");
            error.printStackTrace(System.out);
            return 1;
        }
    }

    private CuratorFramework client() {
        return client(null);
    }

    private CuratorFramework client(String namespace) {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(addresses)
                .namespace(namespace)
                .sessionTimeoutMs(SESSION_MS)
                .connectionTimeoutMs(5_000)
                .retryPolicy(new RetryForever(50))
                .build();
        client.start();
        return client;
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static void await(String what, Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MS);
        while (!holds.call()) {
            check(System.nanoTime() < end, what + " within " + PATIENCE_MS + " ms");
            Thread.sleep(20);
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** Runs the same in several threads and wants all of them to succeed. */
    private static void together(int count, Story story) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(count);
        List<Future<?>> all = new ArrayList<>();
        for (int each = 0; each < count; each++) {
            all.add(threads.submit(() -> {
                story.tell();
                return null;
            }));
        }
        threads.shutdown();
        for (Future<?> each : all) {
            each.get(3 * PATIENCE_MS, TimeUnit.MILLISECONDS);
        }
    }

    private void tree() throws Exception {
        try (CuratorFramework client = client("curator")) {
            String path = client.create().creatingParentContainersIfNeeded().forPath("/tree/a/b", bytes("1"));
            check(path.equals("/tree/a/b"), path);
            Stat stat = new Stat();
            check(text(client.getData().storingStatIn(stat).forPath(path)).equals("1"), "what was created");
            stat = client.setData().withVersion(stat.getVersion()).forPath(path, bytes("2"));
            check(stat.getVersion() == 1, "version 1");
            try {
                client.setData().withVersion(0).forPath(path, bytes("3"));
                check(false, "a write over an old version");
            } catch (KeeperException.BadVersionException expected) {
                check(text(client.getData().forPath(path)).equals("2"), "nothing was written");
            }
            String sequential = client.create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/tree/s-");
            check(sequential.matches("/tree/s-\\d{10}"), sequential);
            String safe = client.create().withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/tree/p-");
            check(client.checkExists().forPath(safe).getEphemeralOwner() != 0, "an ephemeral znode");
            client.create().orSetData().forPath(path, bytes("4"));
            String lasting = client.create().withTtl(100_000)
                    .withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/tree/ttl");
            check(client.checkExists().forPath(lasting) != null, "a znode with a time to live");
            check(new TreeSet<>(client.getChildren().forPath("/tree")).size() == 4, "four children");
            String packed = client.create().compressed().forPath("/tree/packed", bytes("x".repeat(10_000)));
            check(client.getData().decompressed().forPath(packed).length == 10_000, "compressed data");
            CountDownLatch answered = new CountDownLatch(1);
            client.getData().inBackground((from, event) -> answered.countDown()).forPath(path);
            check(answered.await(PATIENCE_MS, TimeUnit.MILLISECONDS), "an answer in the background");
            client.sync().forPath("/tree");
            client.delete().guaranteed().deletingChildrenIfNeeded().forPath("/tree");
            check(client.checkExists().forPath("/tree") == null, "all is gone");
        }
    }

    private void transactions() throws Exception {
        try (CuratorFramework client = client("transactions")) {
            client.createContainers("/t");
            List<CuratorTransactionResult> done = client.transaction().forOperations(
                    client.transactionOp().create().forPath("/t/a", bytes("1")),
                    client.transactionOp().setData().withVersion(0).forPath("/t/a", bytes("2")),
                    client.transactionOp().check().withVersion(1).forPath("/t/a"),
                    client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/t/s-"));
            check(done.size() == 4 && done.get(3).getResultPath().endsWith("0000000001"), "four parts: " + done);
            try {
                client.transaction().forOperations(
                        client.transactionOp().delete().forPath("/t/a"),
                        client.transactionOp().create().forPath("/t/a/b"));
                check(false, "a transaction with a part that cannot be done");
            } catch (KeeperException.NoNodeException expected) {
                List<org.apache.zookeeper.OpResult> results = expected.getResults();
                check(results.size() == 2, "a result for each part");
                check(text(client.getData().forPath("/t/a")).equals("2"), "nothing was done");
            }
        }
    }

    private void access() throws Exception {
        CuratorFramework owner = CuratorFrameworkFactory.builder()
                .connectString(addresses)
                .retryPolicy(new RetryForever(50))
                .authorization("digest", bytes("ann:secret"))
                .build();
        owner.start();
        try (owner; CuratorFramework stranger = client()) {
            Id ann = new Id("digest", DigestAuthenticationProvider.generateDigest("ann:secret"));
            owner.create().creatingParentsIfNeeded()
                    .withACL(List.of(new ACL(ZooDefs.Perms.ALL, ann))).forPath("/access/hers", bytes("1"));
            check(text(owner.getData().forPath("/access/hers")).equals("1"), "what is hers");
            check(owner.getACL().forPath("/access/hers").get(0).getId().equals(ann), "its list");
            try {
                stranger.getData().forPath("/access/hers");
                check(false, "a stranger reads");
            } catch (KeeperException.NoAuthException expected) {
                owner.delete().forPath("/access/hers");
            }
        }
    }

    private void locks() throws Exception {
        String path = "/locks/" + System.nanoTime();
        AtomicInteger holders = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        together(4, () -> {
            try (CuratorFramework client = client()) {
                InterProcessMutex mutex = new InterProcessMutex(client, path + "/mutex");
                for (int turn = 0; turn < 5; turn++) {
                    check(mutex.acquire(PATIENCE_MS, TimeUnit.MILLISECONDS), "the lock");
                    check(holders.incrementAndGet() == 1, "one holder");
                    Thread.sleep(10);
                    holders.decrementAndGet();
                    turns.incrementAndGet();
                    mutex.release();
                }
            }
        });
        check(turns.get() == 20, turns + " turns");
        AtomicInteger leases = new AtomicInteger();
        together(4, () -> {
            try (CuratorFramework client = client()) {
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, path + "/semaphore", 2);
                for (int turn = 0; turn < 3; turn++) {
                    Lease lease = semaphore.acquire();
                    check(leases.incrementAndGet() <= 2, "two leases at most");
                    Thread.sleep(10);
                    leases.decrementAndGet();
                    semaphore.returnLease(lease);
                }
                InterProcessReadWriteLock lock = new InterProcessReadWriteLock(client, path + "/both");
                lock.readLock().acquire();
                lock.readLock().release();
                lock.writeLock().acquire();
                check(holders.incrementAndGet() == 1, "one writer");
                holders.decrementAndGet();
                lock.writeLock().release();
            }
        });
    }

    private void latch() throws Exception {
        String path = "/latch-" + System.nanoTime();
        List<CuratorFramework> clients = List.of(client(), client(), client());
        List<LeaderLatch> latches = new ArrayList<>();
        for (int each = 0; each < 3; each++) {
            latches.add(new LeaderLatch(clients.get(each), path, "latch-" + each));
            latches.get(each).start();
        }
        while (!latches.isEmpty()) {
            List<LeaderLatch> leaders = new ArrayList<>();
            await("a leader", () -> {
                leaders.clear();
                latches.stream().filter(LeaderLatch::hasLeadership).forEach(leaders::add);
                return !leaders.isEmpty();
            });
            check(leaders.size() == 1, "one leader");
            latches.remove(leaders.get(0));
            leaders.get(0).close();
        }
        clients.forEach(CuratorFramework::close);
    }

    private void selector() throws Exception {
        String path = "/selector-" + System.nanoTime();
        AtomicInteger leaders = new AtomicInteger();
        Set<String> led = ConcurrentHashMap.newKeySet();
        List<CuratorFramework> clients = List.of(client(), client());
        List<LeaderSelector> selectors = new ArrayList<>();
        List<Throwable> wrong = new ArrayList<>();
        for (int each = 0; each < 2; each++) {
            String name = "selector-" + each;
            LeaderSelector selector = new LeaderSelector(clients.get(each), path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) throws Exception {
                    if (leaders.incrementAndGet() != 1) {
                        wrong.add(new AssertionError("two leaders"));
                    }
                    led.add(name);
                    Thread.sleep(20);
                    leaders.decrementAndGet();
                }
            });
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
        }
        await("both have led", () -> led.size() == 2);
        selectors.forEach(LeaderSelector::close);
        clients.forEach(CuratorFramework::close);
        check(wrong.isEmpty(), "one leader at a time");
    }

    /** What is there, below a root, read znode by znode. */
    private static TreeMap<String, String> below(CuratorFramework client, String root) throws Exception {
        TreeMap<String, String> found = new TreeMap<>();
        List<String> open = new ArrayList<>(List.of(root));
        while (!open.isEmpty()) {
            String path = open.remove(open.size() - 1);
            found.put(path, text(client.getData().forPath(path)));
            for (String name : client.getChildren().forPath(path)) {
                open.add(path + "/" + name);
            }
        }
        return found;
    }

    private static TreeMap<String, String> below(TreeCache cache, String root) {
        TreeMap<String, String> found = new TreeMap<>();
        ChildData data = cache.getCurrentData(root);
        if (data != null) {
            found.put(root, text(data.getData()));
            cache.getCurrentChildren(root).keySet().forEach(name -> found.putAll(below(cache, root + "/" + name)));
        }
        return found;
    }

    /** A copy that a persistent recursive watch keeps, and one that one-shot watches keep. */
    private void caches() throws Exception {
        String root = "/caches-" + System.nanoTime();
        try (CuratorFramework writer = client(); CuratorFramework reader = client()) {
            writer.create().orSetData().forPath(root, bytes("root"));
            CuratorCache recursive = CuratorCache.build(reader, root);
            TreeCache oneShot = new TreeCache(reader, root);
            recursive.start();
            oneShot.start();
            for (int round = 0; round < 200; round++) {
                String path = root + "/" + round % 7 + "/" + round % 3;
                if (round % 5 == 4 && writer.checkExists().forPath(path) != null) {
                    writer.delete().quietly().guaranteed().deletingChildrenIfNeeded().forPath(path);
                } else {
                    writer.create().orSetData().creatingParentsIfNeeded().forPath(path, bytes("" + round));
                }
            }
            // A persistent watch tells nothing of what happened while there was no connection, and
            // Curator's copy then waits for the next change: so there is one for each znode.
            TreeMap<String, String> there = below(writer, root);
            for (String path : there.keySet()) {
                writer.setData().forPath(path, bytes("last of " + path));
            }
            TreeMap<String, String> last = below(writer, root);
            await("the copy of one-shot watches", () -> below(oneShot, root).equals(last));
            await("the copy of a recursive watch", () -> {
                TreeMap<String, String> copied = new TreeMap<>();
                recursive.stream().forEach(data -> copied.put(data.getPath(), text(data.getData())));
                return copied.equals(last);
            });
            oneShot.close();
            recursive.close();
        }
    }

    private void counter() throws Exception {
        String path = "/counter-" + System.nanoTime();
        together(3, () -> {
            try (CuratorFramework client = client()) {
                DistributedAtomicLong counter = new DistributedAtomicLong(client, path, new RetryForever(5));
                for (int turn = 0; turn < 20; turn++) {
                    check(counter.increment().succeeded(), "an addition");
                }
            }
        });
        try (CuratorFramework client = client(); SharedCount shared = new SharedCount(client, path + "-shared", 5)) {
            DistributedAtomicLong counter = new DistributedAtomicLong(client, path, new RetryForever(5));
            // With servers that die an addition may have been done that was tried again.
            check(counter.get().postValue() >= 60, "60 additions: " + counter.get().postValue());
            shared.start();
            check(shared.trySetCount(shared.getVersionedValue(), 6) && shared.getCount() == 6, "a shared count");
        }
    }

    private void queue() throws Exception {
        String path = "/queue-" + System.nanoTime();
        try (CuratorFramework producer = client(); CuratorFramework consumer = client()) {
            SimpleDistributedQueue in = new SimpleDistributedQueue(producer, path);
            SimpleDistributedQueue out = new SimpleDistributedQueue(consumer, path);
            for (int item = 0; item < 20; item++) {
                in.offer(bytes("item " + item));
            }
            Set<String> taken = new TreeSet<>();
            await("all items", () -> {
                byte[] item = out.poll(1, TimeUnit.SECONDS);
                if (item != null) {
                    taken.add(text(item));
                }
                return taken.size() == 20;
            });
        }
    }

    private void lostSession() throws Exception {
        try (CuratorFramework client = client()) {
            String path = "/lost-" + System.nanoTime();
            PersistentNode node = new PersistentNode(client, CreateMode.EPHEMERAL, false, path, bytes("here"));
            node.start();
            check(node.waitForInitialCreate(PATIENCE_MS, TimeUnit.MILLISECONDS), "a persistent node");
            long before = client.checkExists().forPath(path).getEphemeralOwner();
            Semaphore lost = new Semaphore(0);
            client.getConnectionStateListenable().addListener((from, state) -> {
                if (state == ConnectionState.LOST) {
                    lost.release();
                }
            });
            ZooKeeper handle = client.getZookeeperClient().getZooKeeper();
            new ZooKeeper(addresses, SESSION_MS, event -> { }, handle.getSessionId(), handle.getSessionPasswd()) {
                void end() throws Exception {
                    await("the same session", () -> getState().isConnected());
                    close();
                }
            }.end();
            check(lost.tryAcquire(PATIENCE_MS, TimeUnit.MILLISECONDS), "told of the lost session");
            await("the node in another session", () -> {
                Stat stat = client.checkExists().forPath(path);
                return stat != null && stat.getEphemeralOwner() != before;
            });
            node.close();
        }
    }

    private void barriers() throws Exception {
        String path = "/barriers-" + System.nanoTime();
        try (CuratorFramework client = client()) {
            DistributedBarrier barrier = new DistributedBarrier(client, path + "/one");
            barrier.setBarrier();
            check(!barrier.waitOnBarrier(100, TimeUnit.MILLISECONDS), "the barrier is closed");
            barrier.removeBarrier();
            check(barrier.waitOnBarrier(PATIENCE_MS, TimeUnit.MILLISECONDS), "the barrier is open");
            AtomicInteger inside = new AtomicInteger();
            together(3, () -> {
                DistributedDoubleBarrier both = new DistributedDoubleBarrier(client, path + "/both", 3);
                inside.incrementAndGet();
                check(both.enter(PATIENCE_MS, TimeUnit.MILLISECONDS), "all have come");
                check(inside.get() == 3, "nobody was let in alone");
                check(both.leave(PATIENCE_MS, TimeUnit.MILLISECONDS), "all have gone");
            });
        }
    }

    private void group() throws Exception {
        String path = "/group-" + System.nanoTime();
        try (CuratorFramework one = client(); CuratorFramework other = client()) {
            GroupMember first = new GroupMember(one, path, "first", bytes("1"));
            GroupMember second = new GroupMember(other, path, "second", bytes("2"));
            first.start();
            second.start();
            await("both know each other", () -> first.getCurrentMembers().size() == 2
                    && second.getCurrentMembers().size() == 2);
            second.close();
            await("one has gone", () -> first.getCurrentMembers().keySet().equals(Set.of("first")));
            first.close();
        }
    }

    /** Curator follows `/zookeeper/config`, and connects to what stands there from then on. */
    private void ensemble() throws Exception {
        try (CuratorFramework client = client()) {
            client.create().orSetData().forPath("/ensemble", bytes("1"));
            Set<String> wanted = new TreeSet<>(List.of(addresses.split(",")));
            await("the addresses of " + text(client.getConfig().forEnsemble()), () -> wanted.equals(
                    new TreeSet<>(List.of(client.getZookeeperClient().getCurrentConnectionString().split(",")))));
            check(text(client.getData().forPath("/ensemble")).equals("1"), "an answer from there");
            if (wanted.size() > 1) {
                Properties properties = new Properties();
                properties.load(new ByteArrayInputStream(client.getConfig().forEnsemble()));
                QuorumVerifier members = new QuorumMaj(properties);
                check(members.getVotingMembers().size() == wanted.size(), "all vote: " + properties);
                check(members.getVersion() != 0, "a version");
            }
        }
    }
}

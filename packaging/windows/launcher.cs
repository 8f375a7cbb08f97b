// The service BerthAgent: answers Windows' service control, and starts the release that `current` names, as packaging/linux/launcher
// does on Linux, by the same rules and files. Compiled by install.ps1 with what Windows brings (C# 5).
using System;
using System.Diagnostics;
using System.IO;
using System.ServiceProcess;
using System.Threading;

public class BerthAgentService : ServiceBase
{
    const int TrialMs = 180000;
    const int RestMs = 5000;
    const int MostLogBytes = 20000000;
    const string NodeOptions = "--max-semi-space-size=2 --v8-pool-size=1 --optimize-for-size --liftoff-only";
    readonly string home = Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.CommonApplicationData), @"Berth\agent");
    readonly ManualResetEvent stopping = new ManualResetEvent(false);
    Thread loop;

    public static void Main()
    {
        Run(new BerthAgentService { ServiceName = "BerthAgent", CanShutdown = true });
    }

    protected override void OnStart(string[] args)
    {
        loop = new Thread(Loop);
        loop.Start();
    }

    protected override void OnStop()
    {
        stopping.Set();
        loop.Join();
    }

    protected override void OnShutdown()
    {
        OnStop();
    }

    void Loop()
    {
        do
        {
            try { RunOnce(); }
            catch (Exception error) { EventLog.WriteEntry(error.ToString(), EventLogEntryType.Error); }
        } while (!stopping.WaitOne(RestMs));
    }

    void RunOnce()
    {
        string trial = CountStart();
        string release = Works("current") ? ReleaseOf("current") : ReleaseOf("previous");
        ProcessStartInfo start = new ProcessStartInfo(Path.Combine(release, "node.exe"));
        // As packaging/linux/launcher has them.
        start.Arguments = NodeOptions + " \"" + Path.Combine(release, "berth-agent.mjs") + "\" run";
        start.UseShellExecute = false;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        start.EnvironmentVariables["BERTH_AGENT_HOME"] = home;
        string log = Path.Combine(home, "agent.log");
        if (File.Exists(log) && new FileInfo(log).Length > MostLogBytes)
        {
            File.Delete(log + ".1");
            File.Move(log, log + ".1");
        }
        using (StreamWriter writer = new StreamWriter(log, true))
        using (Process node = Process.Start(start))
        {
            writer.AutoFlush = true;
            DataReceivedEventHandler write = delegate(object sender, DataReceivedEventArgs line)
            {
                if (line.Data != null) lock (writer) writer.WriteLine(line.Data);
            };
            node.OutputDataReceived += write;
            node.ErrorDataReceived += write;
            node.BeginOutputReadLine();
            node.BeginErrorReadLine();
            Stopwatch up = Stopwatch.StartNew();
            while (!node.WaitForExit(500))
            {
                bool hangs = trial != null && up.ElapsedMilliseconds > TrialMs && Read("trial") == trial;
                if (hangs) Put("trial", Counted(trial, 99));
                // The agent may be killed at any point and reaches the same state.
                if (hangs || stopping.WaitOne(0)) node.Kill();
            }
            node.WaitForExit();
        }
    }

    // What `trial` says once this start is counted; null where there is none.
    string CountStart()
    {
        string trial = Read("trial");
        if (trial == null) return null;
        string[] words = trial.Split(' ');
        if (words[0] != Read("current"))
        {
            File.Delete(At("trial"));
            return null;
        }
        int starts;
        if (words.Length < 2 || !int.TryParse(words[1], out starts)) starts = 0;
        if (starts >= 3 && Works("previous"))
        {
            Put("failed", words[0] + (starts == 99 ? " hung" : " crashed"));
            Put("current", Read("previous"));
            File.Delete(At("trial"));
            return null;
        }
        string counted = Counted(trial, starts + 1);
        Put("trial", counted);
        return counted;
    }

    static string Counted(string trial, int starts)
    {
        string[] words = trial.Split(' ');
        if (words.Length > 1) words[1] = starts.ToString();
        return string.Join(" ", words);
    }

    string At(string name) { return Path.Combine(home, name); }
    string Read(string name) { return File.Exists(At(name)) ? File.ReadAllText(At(name)).Trim() : null; }

    void Put(string name, string text)
    {
        string unfinished = At("." + name + ".launcher");
        using (FileStream file = new FileStream(unfinished, FileMode.Create))
        {
            byte[] bytes = System.Text.Encoding.ASCII.GetBytes(text + "\n");
            file.Write(bytes, 0, bytes.Length);
            file.Flush(true);
        }
        if (File.Exists(At(name))) File.Replace(unfinished, At(name), null);
        else File.Move(unfinished, At(name));
    }

    string ReleaseOf(string link) { return Path.Combine(Path.Combine(home, "releases"), Read(link) ?? "none"); }
    bool Works(string link)
    {
        string release = ReleaseOf(link);
        return File.Exists(Path.Combine(release, "node.exe")) && File.Exists(Path.Combine(release, "berth-agent.mjs"));
    }
}

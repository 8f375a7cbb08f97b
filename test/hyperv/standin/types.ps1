# The objects of the Hyper-V module, with the properties that scripts read. Names are Microsoft's
# (Microsoft.HyperV.PowerShell.*); PowerShell classes have no namespaces. What is only the stand-in's begins with
# "Standin".

# The names are what scripts go by: the numbers of the last ones differ between versions of the module.
enum VMState {
    Other = 1; Running = 2; Off = 3; Stopping = 4; Saved = 6; Paused = 9; Starting = 10; Reset = 11
    Saving = 32773; Pausing = 32776; Resuming = 32777; FastSaved = 32779; FastSaving = 32780
    RunningCritical = 32785; OffCritical = 32786; StoppingCritical = 32787; SavedCritical = 32788; PausedCritical = 32789
    StartingCritical = 32790; ResetCritical = 32791; SavingCritical = 32792; PausingCritical = 32793
    ResumingCritical = 32794; FastSavedCritical = 32795; FastSavingCritical = 32796
}
enum OnOffState { On; Off }
enum StartAction { Nothing = 2; StartIfRunning = 3; Start = 4 }
enum StopAction { TurnOff = 2; Save = 3; ShutDown = 4 }
enum CheckpointType { Disabled = 2; Production = 3; ProductionOnly = 4; Standard = 5 }
enum ControllerType { IDE; SCSI }
enum VhdType { Fixed = 2; Dynamic = 3; Differencing = 4 }
enum SnapshotType { Standard; Recovery; Planned; Missing; Replica; AppConsistentReplica; SyncedReplica }
enum VMSwitchType { Private; Internal; External }
enum VMNetworkAdapterAclAction { Allow = 1; Deny = 2; Meter = 3 }
enum VMNetworkAdapterAclDirection { Inbound = 1; Outbound = 2; Both = 3 }

class VirtualizationException : System.Exception {
    VirtualizationException([string]$message) : base($message) {}
}

class VMComponentObject { [guid]$VMId; [string]$Name }
class HardDiskDrive : VMComponentObject {
    [ControllerType]$ControllerType; [int]$ControllerNumber; [int]$ControllerLocation; [string]$Path; [uint64]$MaximumIOPS; [uint64]$MinimumIOPS
}
class DvdDrive : VMComponentObject {
    [int]$ControllerNumber; [int]$ControllerLocation; [string]$Path
    # Which file the path was when it was attached: Hyper-V gave the VM rights to that one, and to none that came later.
    [string]$StandinMedium
}

class VMNetworkAdapterAclSetting {
    [guid]$StandinVMId; [string]$StandinAdapter
    [VMNetworkAdapterAclAction]$Action; [VMNetworkAdapterAclDirection]$Direction; [string]$LocalAddress; [string]$RemoteAddress
}
class VMNetworkAdapterBandwidthSetting { [long]$MaximumBandwidth; [long]$MinimumBandwidthAbsolute; [long]$MinimumBandwidthWeight }
class VMNetworkAdapterBase : VMComponentObject {
    [string]$Id; [string]$SwitchName; [string]$MacAddress; [bool]$DynamicMacAddressEnabled
    [OnOffState]$MacAddressSpoofing; [OnOffState]$DhcpGuard; [OnOffState]$RouterGuard; [int]$StandinVlanId
    # Null for an adapter that nobody ever limited.
    [VMNetworkAdapterBandwidthSetting]$BandwidthSetting
    [VMNetworkAdapterAclSetting[]]$AclList
}
class VMNetworkAdapter : VMNetworkAdapterBase {}

class VMSnapshot {
    [guid]$Id; [guid]$VMId; [string]$Name; [datetime]$CreationTime; [SnapshotType]$SnapshotType
    [string]$StandinConfiguration; [long]$StandinAppears
}

# Of VMs that run, to another host. Until: in UTC ticks, when it is through.
class StandinMigration { [string]$Computer; [string]$Path; [string]$Disk; [long]$Until }
class VirtualMachine {
    # What Hyper-V does with it beside running it: MergingDisks.
    [string]$SecondaryOperationalStatus
    # The error id with which its saved memory fails to be restored; empty: it is restored.
    [string]$StandinSpoilt
    [guid]$Id; [string]$Name; [VMState]$State; [string]$Notes; [string]$Path; [int]$Generation; [string]$Heartbeat
    [long]$ProcessorCount; [long]$MemoryStartup; [long]$MemoryMinimum; [long]$MemoryMaximum; [long]$MemoryAssigned; [bool]$DynamicMemoryEnabled
    [StartAction]$AutomaticStartAction; [StopAction]$AutomaticStopAction; [CheckpointType]$CheckpointType; [bool]$AutomaticCheckpointsEnabled
    [HardDiskDrive[]]$HardDrives; [DvdDrive[]]$DVDDrives; [VMNetworkAdapter[]]$NetworkAdapters
    [OnOffState]$StandinSecureBoot; [string]$StandinSecureBootTemplate; [string]$StandinFirstBoot
    # The process that runs it: its id, and its start in UTC ticks; 0 while off.
    [int]$StandinProcess; [long]$StandinProcessStart
    # When the guest began to boot, and when it will have shut down, in UTC ticks; 0: not.
    [long]$StandinBoot; [long]$StandinShutdown; [string]$StandinGuestName
    [VMSnapshot[]]$StandinSnapshots
    # From when on it is there, in UTC ticks: the service may go on with what a killed process had asked it for.
    [long]$StandinAppears
    # The service moves it to another host; null: it does not.
    [StandinMigration]$StandinMigration
    [bool]$StandinCompatible
}

class VMCompatibilityReportEntry { [string]$Message; [long]$MessageId }
class VMCompatibilityReport { [VirtualMachine]$VM; [string]$Destination; [string]$Path; [string]$StandinDisk; [VMCompatibilityReportEntry[]]$Incompatibilities }

class VMSwitch { [guid]$Id; [string]$Name; [VMSwitchType]$SwitchType }
class VMHost { [string]$ComputerName; [bool]$VirtualMachineMigrationEnabled; [int]$LogicalProcessorCount; [long]$MemoryCapacity; [string]$VirtualMachinePath; [string]$VirtualHardDiskPath }
class VirtualHardDisk { [string]$Path; [string]$VhdFormat; [string]$VhdType; [uint64]$Size; [uint64]$FileSize; [string]$ParentPath }

# What a VM has done, as its counters say: 100 ns by virtual processor, bytes by adapter and of its disk.
class StandinCounted { [uint64[]]$RunTime; [uint64[]]$Received; [uint64[]]$Sent; [uint64]$Read; [uint64]$Written }
class StandinVolume { [string]$Name; [uint64]$Capacity }
# The stand-in host itself, written by the test as host.json.
class StandinHost {
    [string]$Windows; [string]$Switch; [int]$LogicalProcessors; [long]$MemoryBytes
    [int]$GuestBootMs; [int]$GuestShutdownMs
    # Milliseconds that a cmdlet takes, by its name, as on a real host.
    [System.Collections.Generic.Dictionary[string, int]]$DelayMs
    # The error id with which a cmdlet fails each time, by its name.
    [System.Collections.Generic.Dictionary[string, string]]$FailWith
    [StandinVolume[]]$Volumes
    # For moves of VMs that run: its name, the states of the hosts that it reaches by name, and whether it takes part in them.
    [string]$Computer
    [System.Collections.Generic.Dictionary[string, string]]$Peers
    [bool]$MigrationEnabled
    # Its kind of processor, and how long such a move takes.
    [string]$Processor
    [int]$MigrationMs
    # By the VM's name. One that is not named here counts by the age of its process.
    [System.Collections.Generic.Dictionary[string, StandinCounted]]$Counted
}

# Limits by version (../../shared/facts/hyperv.md, from Microsoft's "Plan for Hyper-V scalability").
$script:Limits = @{
    '2012r2' = @{ Cpus = 64; MemoryTb = 1 }
    '2016'   = @{ Cpus = 240; MemoryTb = 12 }
    '2019'   = @{ Cpus = 240; MemoryTb = 12 }
    '2022'   = @{ Cpus = 1024; MemoryTb = 240 }
    '2025'   = @{ Cpus = 2048; MemoryTb = 240 }
}
$script:VhdxMaximum = 64TB
$script:NicMaximum = 8
$script:RunningMaximum = 1024
$script:CheckpointMaximum = 50
